//! A thread in a network namespace that runs closures.

use std::io;
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::namespace::Namespace;

type Job = Box<dyn FnOnce() + Send>;

/// A handle of the thread, which ends with the last handle. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inside {
    jobs: mpsc::Sender<Job>,
}

impl Inside {
    /// Starts the thread.
    pub(super) fn new(namespace: &Namespace) -> io::Result<Self> {
        let name = namespace.name().to_owned();
        let (jobs, waiting) = mpsc::channel::<Job>();
        let (entered, outcome) = mpsc::channel();
        std::thread::spawn(move || {
            let result = Namespace::enter(&name);
            let failed = result.is_err();
            let _ = entered.send(result);
            if !failed {
                waiting.into_iter().for_each(|job| job());
            }
        });
        outcome.recv().map_err(io::Error::other)??;
        Ok(Self { jobs })
    }

    /// Runs `work` in the namespace. A blocking call blocks all other callers.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || drop(answer.send(work())));
        self.jobs
            .send(job)
            .map_err(|_| io::Error::other("the thread of the namespace has ended"))?;
        result.await.map_err(io::Error::other)?
    }
}
