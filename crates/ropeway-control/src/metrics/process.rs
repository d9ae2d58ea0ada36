//! What the process uses of its machine.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What the process uses of its machine. What the system does not tell is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFacts {
    /// Processor time, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Physical memory in bytes.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Most file descriptors; `None` also when unlimited.
    pub max_fds: Option<u64>,
}

impl ProcessFacts {
    /// Asks the system.
    #[must_use]
    pub fn read() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_bytes: std::fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| resident(&text)),
            // The directory itself is open while it is counted.
            open_fds: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count().saturating_sub(1) as u64),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The field `VmRSS` of proc_pid_status(5), which is in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_found_in_the_status_file() {
        assert_eq!(resident("VmPeak:\t  100 kB\nVmRSS:\t    3700 kB\nThreads:\t3\n"), Some(3_788_800));
        assert_eq!(resident("Threads:\t3\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_about_this_process() {
        let before = ProcessFacts::read();
        assert!(before.resident_bytes.unwrap() > 0);
        let _one_more = std::fs::File::open("/dev/null").unwrap();
        assert!(before.open_fds.unwrap() > 2);
    }
}
