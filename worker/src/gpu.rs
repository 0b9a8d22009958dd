//! The GPUs of this machine as Prometheus sees them. Where NVIDIA's management library is not to be had, or does not know a number, the
//! series is absent, never 0.
//!
//! A cluster's DCGM exporter knows far more; these four are for machines without one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts};

/// Between two readings: a driver that hangs must not hang a scrape, so they are taken aside.
#[cfg(feature = "nvml")]
const EVERY: Duration = Duration::from_secs(10);
/// An older reading is not shown.
const STALE: Duration = Duration::from_secs(60);

/// One GPU, as far as it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Its number, as the driver counts.
    pub(crate) gpu: u32,
    /// Share of time in which a kernel ran, 0..=1.
    pub(crate) busy: Option<f64>,
    /// Bytes in use, of all there are.
    pub(crate) memory: Option<(u64, u64)>,
    /// Of the core, degrees.
    pub(crate) celsius: Option<u32>,
}

/// The last reading of all GPUs, and when it was taken.
type Readings = Arc<Mutex<Option<(Instant, Vec<Reading>)>>>;

/// Shows the last reading. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gpus {
    readings: Readings,
    descriptions: Vec<Desc>,
}

struct Families {
    busy: GaugeVec,
    used: GaugeVec,
    total: GaugeVec,
    celsius: GaugeVec,
}

impl Families {
    fn new() -> Self {
        let of = |name, help| {
            GaugeVec::new(Opts::new(name, help), &["gpu"]).expect("names and labels are valid")
        };
        Self {
            busy: of("sweep_gpu_utilization_ratio", "Share of time in which a kernel ran"),
            used: of("sweep_gpu_memory_used_bytes", "Memory in use, by all processes"),
            total: of("sweep_gpu_memory_total_bytes", "Memory of the GPU"),
            celsius: of("sweep_gpu_temperature_celsius", "Temperature of the core"),
        }
    }

    fn all(&self) -> [&GaugeVec; 4] {
        [&self.busy, &self.used, &self.total, &self.celsius]
    }
}

impl Gpus {
    /// Without a reading so far.
    pub(crate) fn new() -> Self {
        let families = Families::new();
        let descriptions = families.all().into_iter().flat_map(Collector::desc).cloned().collect();
        Self { readings: Readings::default(), descriptions }
    }

    /// Takes a reading in.
    pub(crate) fn take_in(&self, at: Instant, readings: Vec<Reading>) {
        *self.readings.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, readings));
    }

    /// Reads on a thread of its own as long as somebody shows it; nothing where there is no library or no GPU.
    #[cfg(feature = "nvml")]
    pub(crate) fn watch(&self) {
        let readings = Arc::downgrade(&self.readings);
        let descriptions = self.descriptions.clone();
        let read = move || {
            let Some(nvml) = nvml::open() else { return };
            while let Some(readings) = readings.upgrade() {
                let found = nvml::read(&nvml);
                Self { readings, descriptions: descriptions.clone() }
                    .take_in(Instant::now(), found);
                std::thread::sleep(EVERY);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("gpus".to_owned()).spawn(read) {
            tracing::warn!(%error, "no thread to read the GPUs: their metrics are absent");
        }
    }
}

impl Collector for Gpus {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = Families::new();
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = readings.iter().filter(|(at, _)| at.elapsed() < STALE);
        for reading in fresh.flat_map(|(_, readings)| readings) {
            let gpu = &[reading.gpu.to_string()];
            if let Some(busy) = reading.busy {
                families.busy.with_label_values(gpu).set(busy);
            }
            if let Some((used, total)) = reading.memory {
                families.used.with_label_values(gpu).set(used as f64);
                families.total.with_label_values(gpu).set(total as f64);
            }
            if let Some(celsius) = reading.celsius {
                families.celsius.with_label_values(gpu).set(f64::from(celsius));
            }
        }
        let collected = families.all().into_iter().flat_map(Collector::collect);
        collected.filter(|family| !family.get_metric().is_empty()).collect()
    }
}

/// NVIDIA's management library, looked for when the program runs.
#[cfg(feature = "nvml")]
mod nvml {
    use nvml_wrapper::Nvml;
    use nvml_wrapper::enum_wrappers::device::TemperatureSensor;

    use super::Reading;

    /// What the container runtime puts in; the name without a number belongs to development packages.
    const LIBRARY: &str = "libnvidia-ml.so.1";

    pub(super) fn open() -> Option<Nvml> {
        match Nvml::builder().lib_path(LIBRARY.as_ref()).init() {
            Ok(nvml) => Some(nvml),
            Err(error) => {
                tracing::info!(%error, "no metrics of GPUs");
                None
            }
        }
    }

    /// What a GPU does not know, as a part of one does not know how busy it is, stays out.
    pub(super) fn read(nvml: &Nvml) -> Vec<Reading> {
        (0..nvml.device_count().unwrap_or(0))
            .filter_map(|gpu| nvml.device_by_index(gpu).ok().map(|device| (gpu, device)))
            .map(|(gpu, device)| Reading {
                gpu,
                busy: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
                memory: device.memory_info().ok().map(|memory| (memory.used, memory.total)),
                celsius: device.temperature(TemperatureSensor::Gpu).ok(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_absent_and_never_zero() {
        let gpus = Gpus::new();
        assert!(gpus.collect().is_empty());
        let whole = Reading {
            gpu: 0,
            busy: Some(0.0),
            memory: Some((1 << 30, 80 << 30)),
            celsius: Some(41),
        };
        let part = Reading { gpu: 1, memory: Some((0, 10 << 30)), ..Reading::default() };
        gpus.take_in(Instant::now(), vec![whole.clone(), part]);
        let series = |name: &str| {
            let found = gpus.collect().into_iter().find(|family| family.name() == name);
            found.map_or(0, |family| family.get_metric().len())
        };
        assert_eq!(series("sweep_gpu_utilization_ratio"), 1, "an idle GPU says 0, a part nothing");
        assert_eq!(series("sweep_gpu_memory_used_bytes"), 2);
        assert_eq!(series("sweep_gpu_memory_total_bytes"), 2);
        assert_eq!(series("sweep_gpu_temperature_celsius"), 1);
        gpus.take_in(Instant::now().checked_sub(2 * STALE).unwrap(), vec![whole]);
        assert!(gpus.collect().is_empty(), "an old reading is none");
    }
}
