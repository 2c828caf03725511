//! What administrators ask of the service manager.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType,
    ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::event_log;
use crate::limits;
use crate::platform::registered::{ACCOUNT, NAME, Registered, State};

/// `ERROR_SERVICE_DOES_NOT_EXIST`
const NO_SUCH_SERVICE: i32 = 1060;
/// `ERROR_SERVICE_DATABASE_LOCKED`
const LOCKED: i32 = 1055;
/// `ERROR_SERVICE_ALREADY_RUNNING`
const RUNS_ALREADY: i32 = 1056;
/// `ERROR_SERVICE_NOT_ACTIVE`
const RUNS_NOT: i32 = 1062;
/// `ERROR_SERVICE_NEVER_STARTED`: what a service says that was not started since the computer was.
const NEVER_STARTED: u32 = 1077;

pub(in crate::platform) fn install(settings: &Path) -> io::Result<Vec<String>> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = connect(access)?;
    let info = info(settings)?;
    let service = match open(&manager, ServiceAccess::ALL_ACCESS)? {
        Some(service) => {
            service.change_config(&info).map_err(plain)?;
            service
        }
        None => manager
            .create_service(&info, ServiceAccess::ALL_ACCESS)
            .map_err(plain)?,
    };
    // Each of them makes the service better, and none is needed to replicate.
    let niceties = [
        (
            "a description",
            service.set_description(
                "Keeps the office's PostgreSQL and the cloud's saying the same thing.",
            ),
        ),
        ("a delayed start", service.set_delayed_auto_start(true)),
        (
            "a restart after a crash",
            service.update_failure_actions(restarts()),
        ),
        // An end that is reported with an exit code asks for a person: only crashes are followed by a restart.
        (
            "no restart after a reported end",
            service.set_failure_actions_on_non_crash_failures(false),
        ),
        (
            "an account of its own for rights",
            service.set_config_service_sid_info(ServiceSidType::Unrestricted),
        ),
        (
            "time to finish before the computer is switched off",
            service.set_preshutdown_timeout(limits::SERVICE_PRESHUTDOWN),
        ),
    ];
    let unknown = niceties.into_iter().filter_map(|(what, done)| {
        let error = plain(done.err()?);
        Some(format!("{what}: {error}"))
    });
    let mut unknown: Vec<_> = unknown.collect();
    if let Err(error) = event_log::register() {
        unknown.push(format!("entries in the event log: {error}"));
    }
    Ok(unknown)
}

fn info(settings: &Path) -> io::Result<ServiceInfo> {
    Ok(ServiceInfo {
        name: NAME.into(),
        display_name: "tandem (PostgreSQL replication)".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: std::env::current_exe()?,
        launch_arguments: vec![
            "--config".into(),
            settings.into(),
            "service".into(),
            "run".into(),
        ],
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    })
}

/// The first restart comes soon, the next ones leave time; a day without a crash is a new beginning.
fn restarts() -> ServiceFailureActions {
    let after = |delay| ServiceAction {
        action_type: ServiceActionType::Restart,
        delay,
    };
    let [first, second, later] = limits::SERVICE_RESTARTS;
    ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(86_400)),
        reboot_msg: None,
        command: None,
        actions: Some(vec![after(first), after(second), after(later)]),
    }
}

pub(in crate::platform) fn uninstall() -> io::Result<()> {
    needed(ServiceAccess::DELETE)?.delete().map_err(plain)?;
    // Who installs it again registers it again.
    let _ = event_log::deregister();
    Ok(())
}

pub(in crate::platform) fn start() -> io::Result<Registered> {
    let service = needed(ASK | ServiceAccess::START)?;
    let until = Instant::now() + limits::SERVICE_CHANGE_MAX;
    loop {
        match service.start::<OsString>(&[]).map_err(plain) {
            // The manager starts one service after the other: just after the computer was switched on that takes a while.
            Err(error) if error.raw_os_error() == Some(LOCKED) && Instant::now() < until => {
                thread::sleep(limits::SERVICE_POLL);
            }
            Err(error) if error.raw_os_error() != Some(RUNS_ALREADY) => return Err(error),
            _ => break,
        }
    }
    wait_while(&service, &[ServiceState::StartPending])
}

pub(in crate::platform) fn stop() -> io::Result<Registered> {
    let service = needed(ASK | ServiceAccess::STOP)?;
    match service.stop().map_err(plain) {
        Err(error) if error.raw_os_error() != Some(RUNS_NOT) => return Err(error),
        _ => {}
    }
    wait_while(
        &service,
        &[ServiceState::StopPending, ServiceState::Running],
    )
}

pub(in crate::platform) fn query() -> io::Result<Option<Registered>> {
    let manager = connect(ServiceManagerAccess::CONNECT)?;
    let service = open(&manager, ASK)?;
    service.map(|service| registered(&service)).transpose()
}

const ASK: ServiceAccess = ServiceAccess::QUERY_STATUS.union(ServiceAccess::QUERY_CONFIG);

/// The manager has no event that can be waited for without unsafe code.
fn wait_while(service: &Service, states: &[ServiceState]) -> io::Result<Registered> {
    let until = Instant::now() + limits::SERVICE_CHANGE_MAX;
    loop {
        let state = service.query_status().map_err(plain)?.current_state;
        if !states.contains(&state) || Instant::now() >= until {
            return registered(service);
        }
        thread::sleep(limits::SERVICE_POLL);
    }
}

fn registered(service: &Service) -> io::Result<Registered> {
    let (status, config) = (
        service.query_status().map_err(plain)?,
        service.query_config().map_err(plain)?,
    );
    let (exit, failure) = ends(&status);
    Ok(Registered {
        state: match status.current_state {
            ServiceState::Stopped => State::Stopped,
            ServiceState::StartPending => State::Starting,
            ServiceState::StopPending => State::Stopping,
            _ => State::Running,
        },
        process: status.process_id.filter(|process| *process != 0),
        exit,
        failure,
        is_automatic: config.start_type == ServiceStartType::AutoStart,
        account: config
            .account_name
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        command: config.executable_path.display().to_string(),
    })
}

fn ends(status: &ServiceStatus) -> (Option<u32>, Option<String>) {
    if status.current_state != ServiceState::Stopped {
        return (None, None);
    }
    match status.exit_code {
        ServiceExitCode::ServiceSpecific(code) => (Some(code), None),
        ServiceExitCode::Win32(NEVER_STARTED) => (None, None),
        ServiceExitCode::Win32(0) => (Some(0), None),
        ServiceExitCode::Win32(code) => {
            let error = io::Error::from_raw_os_error(code.cast_signed());
            (None, Some(error.to_string()))
        }
    }
}

fn connect(access: ServiceManagerAccess) -> io::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access).map_err(plain)
}

/// None when there is no such service.
fn open(manager: &ServiceManager, access: ServiceAccess) -> io::Result<Option<Service>> {
    match manager.open_service(NAME, access).map_err(plain) {
        Ok(service) => Ok(Some(service)),
        Err(error) if error.raw_os_error() == Some(NO_SUCH_SERVICE) => Ok(None),
        Err(error) => Err(error),
    }
}

fn needed(access: ServiceAccess) -> io::Result<Service> {
    let manager = connect(ServiceManagerAccess::CONNECT)?;
    open(&manager, access)?.ok_or_else(|| io::Error::from_raw_os_error(NO_SUCH_SERVICE))
}

/// The system's own error where there is one.
pub(super) fn plain(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}
