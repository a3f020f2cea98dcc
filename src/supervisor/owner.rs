//! The task that owns one child, and the handle that talks to it. The task alone touches the process; whoever holds a
//! handle sends orders and watches what becomes of it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::os::Tree;
use super::{ExitStatus, process};

/// How long the system gets to remove killed processes. A process inside a driver call can take seconds to die.
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// What the tree of a child tells its owner.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The child itself ended; its descendants may live for another moment.
    Exited(ExitStatus),
    /// Nothing of the tree is left.
    Gone,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Terminate,
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Exited(ExitStatus),
    Gone(ExitStatus),
}

/// How [`Child::stop`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The child ended within the grace period (or had ended before).
    Asked(ExitStatus),
    /// It had to be killed.
    Killed(ExitStatus),
    /// The system could not remove these processes, although they were killed.
    Stuck(Vec<u32>),
}

/// A running child. Dropping the handle kills the child and its descendants.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    mark: String,
    orders: mpsc::UnboundedSender<Order>,
    phase: watch::Receiver<Phase>,
}

/// Hands `tree` to a new task.
pub(super) fn own(tree: Tree, pid: u32, mark: String) -> Child {
    let (orders, inbox) = mpsc::unbounded_channel();
    let (sender, phase) = watch::channel(Phase::Running);
    tokio::spawn(run(tree, inbox, sender));
    Child { pid, mark, orders, phase }
}

async fn run(mut tree: Tree, mut inbox: mpsc::UnboundedReceiver<Order>, phase: watch::Sender<Phase>) {
    let mut status = None;
    let mut held = true;
    loop {
        tokio::select! {
            event = tree.next() => match event {
                Event::Exited(how) => {
                    status = Some(how);
                    phase.send_replace(Phase::Exited(how));
                }
                Event::Gone => {
                    phase.send_replace(Phase::Gone(status.unwrap_or(ExitStatus::Unknown)));
                    return;
                }
            },
            order = inbox.recv(), if held => match order {
                Some(Order::Terminate) => tree.terminate().await,
                Some(Order::Kill) => tree.kill().await,
                // The handle was dropped: nobody wants this child any more. Stay to see it end.
                None => {
                    held = false;
                    tree.kill().await;
                }
            },
        }
    }
}

impl Child {
    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The child's process group: its own pid, since it leads a session of its own. The same number on Windows.
    pub fn pgid(&self) -> u32 {
        self.pid
    }

    /// The value of [`super::MARK`] in the environment of the child and of everything it starts.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// How the child ended, when it has.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn status(&self) -> Option<ExitStatus> {
        match *self.phase.borrow() {
            Phase::Running => None,
            Phase::Exited(status) | Phase::Gone(status) => Some(status),
        }
    }

    /// Waits until the child itself has ended. The future does not borrow the handle, and there can be many.
    pub fn exited(&self) -> impl Future<Output = ExitStatus> + Send + 'static {
        let mut phase = self.phase.clone();
        async move {
            match phase.wait_for(|p| *p != Phase::Running).await.as_deref() {
                Ok(Phase::Exited(status) | Phase::Gone(status)) => *status,
                _ => ExitStatus::Unknown,
            }
        }
    }

    /// Waits until the child and all its descendants are gone.
    pub fn gone(&self) -> impl Future<Output = ExitStatus> + Send + 'static {
        let mut phase = self.phase.clone();
        async move {
            match phase.wait_for(|p| matches!(p, Phase::Gone(_))).await.as_deref() {
                Ok(Phase::Gone(status)) => *status,
                _ => ExitStatus::Unknown,
            }
        }
    }

    /// Asks the child's group to end, gives it `grace`, then kills the whole tree, also what left the group. Returns
    /// when all of it is gone; [`Child::kill_now`] from elsewhere cuts the grace period short.
    pub async fn stop(&self, grace: Duration) -> Stopped {
        let _ = self.orders.send(Order::Terminate);
        if let Ok(status) = tokio::time::timeout(grace, self.gone()).await {
            return Stopped::Asked(status);
        }
        self.kill_now();
        match tokio::time::timeout(KILL_LIMIT, self.gone()).await {
            Ok(status) => Stopped::Killed(status),
            Err(_) => Stopped::Stuck(process::group(self.pid)),
        }
    }

    /// Kills the whole tree without asking, and does not wait.
    pub fn kill_now(&self) {
        let _ = self.orders.send(Order::Kill);
    }
}
