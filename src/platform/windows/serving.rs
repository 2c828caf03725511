//! A process that the service manager has started.

use std::ffi::OsString;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    ServiceControlHandlerResult, ServiceStatusHandle, register,
};
use windows_service::{define_windows_service, service_dispatcher};

use super::manager::plain;
use crate::limits;
use crate::platform::registered::NAME;

/// What the manager's thread is to do, which it can't be handed otherwise.
static WORK: Mutex<Option<Work>> = Mutex::new(None);
/// How to talk to the manager: from its call until it has heard that the service has stopped.
static MANAGER: Mutex<Option<ServiceStatusHandle>> = Mutex::new(None);
/// The manager asks us to stop.
static ASKED: Notify = Notify::const_new();

type Task = Box<dyn FnOnce() -> u8 + Send>;

struct Work {
    task: Task,
    is_final: fn(u8) -> bool,
    end: Sender<io::Result<u8>>,
}

define_windows_service!(called, serve_here);

/// The manager's own thread goes on until it hears that the service has stopped. It doesn't hear that of a service that
/// is to be started again: for that the process has to end, and it ends by this function's return.
pub(in crate::platform) fn serve(task: Task, is_final: fn(u8) -> bool) -> io::Result<u8> {
    let (end, ended) = channel();
    let refused = end.clone();
    *lock(&WORK) = Some(Work {
        task,
        is_final,
        end,
    });
    thread::spawn(move || {
        if let Err(error) = service_dispatcher::start(NAME, called) {
            let _ = refused.send(Err(plain(error)));
        }
    });
    ended.recv().map_err(io::Error::other)?
}

/// Returns when the manager asks us to stop, once for each time that it does.
pub(super) async fn asked_to_stop() {
    ASKED.notified().await;
}

pub(in crate::platform) fn is_running() {
    tell(ServiceState::Running, 0, ServiceExitCode::NO_ERROR);
}

/// On the manager's thread.
fn serve_here(_arguments: Vec<OsString>) {
    let Some(work) = lock(&WORK).take() else {
        return;
    };
    let (done, ticks) = channel();
    let ticks = Mutex::new(Some(ticks));
    match register(NAME, move |control| answer(&control, &ticks)) {
        Ok(manager) => *lock(&MANAGER) = Some(manager),
        Err(error) => {
            let _ = work.end.send(Err(plain(error)));
            return;
        }
    }
    tell(ServiceState::StartPending, 1, ServiceExitCode::NO_ERROR);
    let code = (work.task)();
    drop::<Sender<()>>(done);
    match code {
        0 => tell(ServiceState::Stopped, 0, ServiceExitCode::NO_ERROR),
        code if (work.is_final)(code) => {
            let code = ServiceExitCode::ServiceSpecific(u32::from(code));
            tell(ServiceState::Stopped, 0, code);
        }
        _ => {}
    }
    let _ = work.end.send(Ok(code));
}

/// The library frees its handler at the first stop, so that a second one must not come: while a service is stopping,
/// the manager sends it nothing. Hence the state is told before anything else is done.
fn answer(
    control: &ServiceControl,
    ticks: &Mutex<Option<Receiver<()>>>,
) -> ServiceControlHandlerResult {
    match control {
        ServiceControl::Stop | ServiceControl::Preshutdown => {
            tell(ServiceState::StopPending, 1, ServiceExitCode::NO_ERROR);
            ASKED.notify_one();
            if let Some(done) = lock(ticks).take() {
                thread::spawn(move || tell_that_it_goes_on(&done));
            }
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    }
}

/// The manager takes a service for hung whose checkpoint stands still for longer than it said.
fn tell_that_it_goes_on(done: &Receiver<()>) {
    let mut checkpoint = 1;
    while done.recv_timeout(limits::SERVICE_TICK) == Err(RecvTimeoutError::Timeout) {
        checkpoint += 1;
        tell(
            ServiceState::StopPending,
            checkpoint,
            ServiceExitCode::NO_ERROR,
        );
    }
}

/// What can't be told is not worth ending for.
fn tell(state: ServiceState, checkpoint: u32, exit_code: ServiceExitCode) {
    let pending = matches!(
        state,
        ServiceState::StartPending | ServiceState::StopPending
    );
    // Preshutdown comes before shutdown, while the desktop's server still runs: its own end then needn't wait for us.
    let controls_accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let wait_hint = match pending {
        true => limits::SERVICE_TICK * 4,
        false => Duration::ZERO,
    };
    let mut known = lock(&MANAGER);
    let Some(manager) = *known else { return };
    // Nothing may be told after the end.
    if state == ServiceState::Stopped {
        *known = None;
    }
    let _ = manager.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint,
        wait_hint,
        process_id: None,
    });
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
