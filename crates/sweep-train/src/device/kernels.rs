//! Where CUDA's compiled kernels and the timings that chose between them are kept.
//!
//! cubecl keeps no compiled kernel unless told, and timings in a `target` folder that an installed program may not write. Both are
//! keyed by kernel alone, so each model of GPU and each driver gets a folder of its own. cubecl adds its own version below it.

use std::path::{Path, PathBuf};

use super::Resolved;

/// The folder below `cache` for a device of `model` with a driver of CUDA version `driver` (12.9 is 12090).
#[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "tested without a GPU"))]
pub(super) fn folder(cache: &Path, model: &str, driver: i32) -> PathBuf {
    let plain: String =
        model.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    cache.join("cubecl").join(format!("{plain}-{driver}"))
}

#[cfg(not(feature = "cuda"))]
pub(super) fn keep(_: Resolved, _: &Path) {}

#[cfg(feature = "cuda")]
pub(super) fn keep(device: Resolved, cache: &Path) {
    use std::sync::Once;

    // cubecl's configuration is the process's and cannot be set twice.
    static SET: Once = Once::new();
    let Resolved::Cuda(index) = device else { return };
    SET.call_once(|| match super::cuda::model_and_driver(index) {
        Ok((model, driver)) => set(&folder(cache, &model, driver)),
        Err(error) => tracing::warn!(%error, "compiled kernels are not kept"),
    });
}

/// Tells cubecl, which must not have been used before.
#[cfg(feature = "cuda")]
fn set(folder: &Path) {
    use cubecl::config::cache::CacheConfig;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    if let Err(error) = std::fs::create_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "compiled kernels are not kept");
        return;
    }
    // cubecl searches from there; a relative path would move with the working directory.
    let Ok(folder) = folder.canonicalize() else { return };
    // Not `from_current_dir`: a file there with a wrong word in it would end the process.
    let mut config = CubeClRuntimeConfig::default().override_from_env();
    config.autotune.cache = CacheConfig::File(folder.clone());
    config.compilation.cache = Some(CacheConfig::File(folder));
    CubeClRuntimeConfig::set(config);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_and_driver_has_a_folder_of_its_own() {
        let of = |model, driver| folder(Path::new("c"), model, driver);
        assert_eq!(
            of("NVIDIA H100 80GB HBM3", 12090),
            Path::new("c/cubecl/NVIDIA_H100_80GB_HBM3-12090")
        );
        assert_ne!(of("NVIDIA H100 80GB HBM3", 12090), of("NVIDIA H100 80GB HBM3", 13000));
        assert_ne!(of("NVIDIA A100", 12090), of("NVIDIA H100", 12090));
    }

    #[test]
    fn a_name_cannot_leave_the_cache() {
        assert_eq!(folder(Path::new("c"), "../../x", 1), Path::new("c/cubecl/______x-1"));
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn both_caches_lie_where_they_are_told() {
        use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

        let home = tempfile::tempdir().unwrap();
        let told = folder(home.path(), "NVIDIA H100", 12090);
        set(&told);
        let config = CubeClRuntimeConfig::get();
        let told = told.canonicalize().unwrap();
        assert_eq!(config.autotune.cache.root(), told);
        assert_eq!(config.compilation.cache.as_ref().unwrap().root(), told);
    }
}
