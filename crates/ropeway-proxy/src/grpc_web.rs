//! gRPC-Web on one side of a body, and gRPC on the other.

use ropeway_core::grpc::{GrpcFlavour, GrpcWebDecoder, GrpcWebEncoder, GrpcWebError};
use ropeway_core::http1::{Head, permitted_trailers};

/// Changes the content of a body on its way.
#[derive(Debug)]
pub(crate) struct Translation {
    direction: Direction,
    /// What the last piece became.
    output: Vec<u8>,
}

#[derive(Debug)]
enum Direction {
    ToServer(GrpcWebDecoder),
    ToClient(GrpcWebEncoder),
}

impl Translation {
    /// For the body of a request of this flavour.
    pub fn to_server(flavour: GrpcFlavour) -> Self {
        Self { direction: Direction::ToServer(GrpcWebDecoder::new(flavour)), output: Vec::new() }
    }

    /// For the body of a response to a request of this flavour.
    pub fn to_client(flavour: GrpcFlavour) -> Self {
        Self { direction: Direction::ToClient(GrpcWebEncoder::new(flavour)), output: Vec::new() }
    }

    /// What a piece becomes.
    ///
    /// # Errors
    /// The piece is not what it should be.
    pub fn take(&mut self, piece: &[u8]) -> Result<&[u8], GrpcWebError> {
        self.output.clear();
        match &mut self.direction {
            Direction::ToServer(decoder) => decoder.push(piece, &mut self.output)?,
            Direction::ToClient(encoder) => encoder.push(piece, &mut self.output),
        }
        Ok(&self.output)
    }

    /// What comes last. A response without trailers has said all in its head.
    ///
    /// # Errors
    /// The body ends too early.
    pub fn end(&mut self, trailers: Option<&Head>) -> Result<&[u8], GrpcWebError> {
        self.output.clear();
        match (&self.direction, trailers) {
            (Direction::ToServer(decoder), _) => decoder.finish()?,
            (Direction::ToClient(encoder), Some(trailers)) => {
                let fields = permitted_trailers(trailers).map(|field| (field.name, field.value));
                encoder.finish(fields, &mut self.output);
            }
            (Direction::ToClient(_), None) => {}
        }
        Ok(&self.output)
    }
}
