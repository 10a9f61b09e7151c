//! A connection on which nothing arrives for too long is dead (spec: `agency-node/spec/network.md`).
//!
//! A cut cable tells nobody. TCP goes on sending for a quarter of an hour before it gives up, and closing
//! such a connection politely takes as long, because the farewell cannot be delivered. Peers ping
//! each other, so silence means that the line is cut or the peer hangs: reading, writing and closing fail.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use tokio::time::{Instant, Sleep};

/// A stream of bytes that fails when nothing arrives for a while.
pub(super) struct Silence<S> {
    stream: S,
    limit: Duration,
    heard: Instant,
    /// Looks whether it is silent: only then, not after every read, is it set anew.
    timer: Pin<Box<Sleep>>,
}

impl<S> Silence<S> {
    /// Fails when nothing arrives for `limit`. Needs tokio's clock.
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            heard: Instant::now(),
            timer: Box::pin(tokio::time::sleep(limit)),
        }
    }

    /// An error once it has been silent for too long; otherwise it will wake the task then.
    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.heard + self.limit;
            if until <= Instant::now() {
                let why = "nothing arrives any more";
                return Err(Error::new(ErrorKind::TimedOut, why));
            }
            self.timer.as_mut().reset(until);
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Silence<S> {
    fn hear(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        match read(Pin::new(&mut self.stream), cx) {
            Poll::Ready(outcome) => {
                self.heard = Instant::now();
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                self.check(cx)?;
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Silence<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize>> {
        self.get_mut().hear(cx, |s, cx| s.poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        self.get_mut()
            .hear(cx, |s, cx| s.poll_read_vectored(cx, buffers))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Silence<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(Pin::new(&mut this.stream).poll_close(cx))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc::{UnboundedReceiver, unbounded};
    use futures::{AsyncReadExt, AsyncWriteExt, Stream};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    /// Bytes come from the channel; what is written is never taken, as on a cut line.
    struct Line(UnboundedReceiver<u8>);

    impl AsyncRead for Line {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<Result<usize>> {
            let byte = ready!(Pin::new(&mut self.0).poll_next(cx));
            Poll::Ready(Ok(byte.map_or(0, |byte| {
                buffer[0] = byte;
                1
            })))
        }
    }

    impl AsyncWrite for Line {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
            Poll::Pending
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Pending
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_silent_line_fails_also_while_it_is_closed() {
        let (sender, receiver) = unbounded();
        let mut line = Silence::new(Line(receiver), LIMIT);
        let start = Instant::now();
        let error = line.read(&mut [0]).await.expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= LIMIT);

        let mut line = Silence::new(Line(unbounded().1), LIMIT);
        assert!(line.write(b"x").await.is_err());
        let mut line = Silence::new(Line(unbounded().1), LIMIT);
        assert!(line.close().await.is_err());
        drop(sender);
    }

    #[tokio::test]
    async fn a_line_on_which_something_arrives_stays() {
        let (sender, receiver) = unbounded();
        let mut line = Silence::new(Line(receiver), LIMIT);
        let start = Instant::now();
        while start.elapsed() < LIMIT * 3 {
            tokio::time::sleep(LIMIT / 6).await;
            sender.unbounded_send(7).expect("a reader");
            assert_eq!(line.read(&mut [0]).await.expect("a byte"), 1);
        }
        // From the last byte on, not from the beginning.
        let last = Instant::now();
        assert!(line.read(&mut [0]).await.is_err());
        assert!(last.elapsed() >= LIMIT / 2);
        drop(sender);
    }
}
