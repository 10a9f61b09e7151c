//! Requests and responses as length and bytes, each with its limit.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::{Behaviour, Codec, Config, ProtocolSupport};
use libp2p::swarm::InvalidProtocol;
use std::time::Duration;

use super::links::read_exactly;

/// Reads and writes one protocol's messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    /// Largest request.
    pub request: usize,
    /// Largest response.
    pub response: usize,
}

impl Messages {
    /// The protocol's behaviour.
    pub fn behaviour(
        self,
        chain: &str,
        name: &str,
        time: Duration,
        streams: usize,
    ) -> Result<Behaviour<Self>, InvalidProtocol> {
        let protocol = StreamProtocol::try_from_owned(format!("/zkbureau/{chain}/{name}/1"))?;
        let config = Config::default()
            .with_request_timeout(time)
            .with_max_concurrent_streams(streams);
        Ok(Behaviour::with_codec(
            self,
            [(protocol, ProtocolSupport::Full)],
            config,
        ))
    }
}

async fn read(io: &mut (impl AsyncRead + Unpin + Send), limit: usize) -> io::Result<Bytes> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let len = u32::from_le_bytes(len) as usize;
    if len > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(read_exactly(io, len).await?.into())
}

async fn write(
    io: &mut (impl AsyncWrite + Unpin + Send),
    bytes: &[u8],
    limit: usize,
) -> io::Result<()> {
    if bytes.len() > limit {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    io.write_all(&(bytes.len() as u32).to_le_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

#[async_trait]
impl Codec for Messages {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.request).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.response).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes, self.request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Bytes,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes, self.response).await
    }
}
