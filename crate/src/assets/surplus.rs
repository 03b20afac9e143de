//! Whether a server sent more than it stated.
//!
//! HTTP says where a body ends, and a client stops reading there: what a lying server sends beyond is
//! never seen. This connector looks at each connection once more before it is closed. It is no part of
//! reading a body.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::Error;

/// How long a connection may stay silent after the body. Servers are asked to close it, so that most
/// answer at once.
const SILENCE: Duration = Duration::from_millis(500);

/// Set where bytes came after the end of a body.
#[derive(Debug, Clone, Default)]
pub(super) struct Surplus(Arc<AtomicBool>);

impl Surplus {
    /// Forgets what earlier connections, those of redirects, did.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether there was more. Means something only once a body was read to its end.
    pub fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<In: Transport> Connector<In> for Surplus {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Watched { inner, surplus: self.clone() }))
    }
}

/// A connection that is looked at before it is closed.
#[derive(Debug)]
pub(super) struct Watched<T: Transport> {
    inner: T,
    surplus: Surplus,
}

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T: Transport> Drop for Watched<T> {
    fn drop(&mut self) {
        let timeout = NextTimeout { after: Limit::from(SILENCE), ..NextTimeout::default() };
        if !self.inner.buffers().input().is_empty() || matches!(self.inner.await_input(timeout), Ok(true)) {
            self.surplus.0.store(true, Ordering::Relaxed);
        }
    }
}
