//! The ground itself: links that are there, and links that are cut.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ground::{Ground, Turn};

/// Accepts connections on a host.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn hosts_reach_each_other_until_their_link_is_cut() {
    let _turn = Turn::wait();
    let Some(ground) = Ground::namespaces(3) else {
        return;
    };
    let listener = TcpListener::bind((ground.address(0), 0));
    assert!(listener.is_err(), "the address is another host's");
    let _servers: Vec<Server> = (0..3)
        .map(|host| {
            let mut command = Command::new("python3");
            command.args(["-c", SERVE]);
            Server(ground.on(host, command).spawn().unwrap())
        })
        .collect();
    for host in 0..3 {
        let address = SocketAddr::new(ground.address(host), 7000);
        let reached = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        });
        assert!(reached, "the test reaches its hosts");
    }
    let reaches = |from: usize, to: usize| {
        let mut command = Command::new("python3");
        let to = ground.address(to).to_string();
        command.args(["-c", CONNECT]).arg(to);
        let mut command = ground.on(from, command);
        command.stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(reaches(0, 1) && reaches(1, 0) && reaches(0, 2));
    ground.cut(0, 1);
    assert!(!reaches(0, 1) && !reaches(1, 0));
    assert!(reaches(0, 2) && reaches(2, 1), "only one link is cut");
    ground.mend(0, 1);
    assert!(reaches(0, 1) && reaches(1, 0));
    ground.part(&[0], &[1, 2]);
    assert!(!reaches(0, 1) && !reaches(2, 0) && reaches(1, 2));
    ground.join(&[0], &[1, 2]);
    assert!(reaches(0, 1) && reaches(2, 0));
}

const SERVE: &str = "
import socket
s = socket.create_server(('', 7000), backlog=64)
while True:
    s.accept()[0].close()
";

const CONNECT: &str = "
import socket, sys
socket.create_connection((sys.argv[1], 7000), timeout=0.6)
";
