//! The GPU: found once in a process, with its library of products, its kernels and spare memory.

use std::collections::HashMap;
use std::ffi::{c_void, CString};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use cudarc::cublas::result::CublasError;
use cudarc::cublas::sys::{cublasMath_t, cublasSetMathMode, cublasSetWorkspace_v2};
use cudarc::cublas::CudaBlas;
use cudarc::driver::{result, sys, CudaDevice, CudaSlice};
use cudarc::nvrtc::{compile_ptx_with_opts, CompileOptions};
use dfdx::prelude::{Cache, Cuda, CudaError, Storage};

use super::calls::{Arg, Call, Numbers};
use super::driver_error::driver_error;
use super::found::{exists, without_panic, Found};
use super::memory::{Memory, Pool};
use super::source::SOURCE;
use super::{address, recorder, OnCard};
use crate::{Error, Result};

static CARD: OnceLock<Card> = OnceLock::new();

/// The GPU of this process.
pub(crate) struct Card {
    cuda: OnCard<Cuda>,
    device: Arc<CudaDevice>,
    blas: Mutex<Blas>,
    module: Module,
    /// The same for recordings, on whose stream it multiplies.
    recording_blas: Mutex<Blas>,
    /// Memory that is free.
    spare: Arc<Pool>,
    /// Grows whenever a variable may have got other memory: what was recorded before is no longer right then.
    moves: AtomicU64,
    found: Found,
    /// Whatever went wrong on the tape, whose errors can't carry a text.
    failed: Mutex<Option<Error>>,
}

/// cuBLAS, and how it multiplies.
pub(crate) struct Blas {
    pub(super) blas: CudaBlas,
    tf32: bool,
    /// Its own memory is another one while a stream records, and another choice of kernels with it.
    workspace: CudaSlice<u8>,
}

/// What NVIDIA advises for Hopper GPUs.
const WORKSPACE: usize = 32 << 20;

impl Blas {
    fn new(device: &Arc<CudaDevice>) -> Result<Self, CudaError> {
        let blas = CudaBlas::new(device.clone()).map_err(CudaError::Blas)?;
        // SAFETY: nobody reads it but cuBLAS, which writes it before.
        let workspace = unsafe { device.alloc::<u8>(WORKSPACE) }.map_err(CudaError::Driver)?;
        let made = Blas { blas, tf32: false, workspace };
        made.set_workspace().map_err(CudaError::Blas)?;
        Ok(made)
    }

    fn set_workspace(&self) -> Result<(), CublasError> {
        let at = *cudarc::driver::DevicePtr::device_ptr(&self.workspace) as *mut c_void;
        // SAFETY: the handle lives, and the memory as long as it.
        unsafe { cublasSetWorkspace_v2(*self.blas.handle(), at, WORKSPACE) }.result()
    }

    /// Puts products on this stream.
    fn set_stream(&self, stream: sys::CUstream) -> Result<(), CublasError> {
        let stream = stream as cudarc::cublas::sys::cudaStream_t;
        // SAFETY: handle and stream live.
        unsafe { cudarc::cublas::result::set_stream(*self.blas.handle(), stream) }?;
        // That has given up the workspace.
        self.set_workspace()
    }
}

thread_local! {
    static IN_TF32: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// How convolutions of this thread multiply floats.
pub(super) fn numbers() -> Numbers {
    match IN_TF32.get() {
        true => Numbers::Tf32,
        false => Numbers::F32,
    }
}

/// While it lives, products of this thread multiply as it was asked for.
pub struct Multiplying {
    before: bool,
}

impl Multiplying {
    /// In TF32, or in f32.
    pub fn in_tf32(tf32: bool) -> Self {
        Multiplying { before: IN_TF32.replace(tf32) }
    }
}

impl Drop for Multiplying {
    fn drop(&mut self) {
        IN_TF32.set(self.before);
    }
}

/// The kernels; never unloaded, since a GPU lives as long as the process.
struct Module {
    module: sys::CUmodule,
    functions: Mutex<HashMap<&'static str, Function>>,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

// SAFETY: handles of the driver may be used from any thread in which the GPU's context is current, which
// each use sees to.
unsafe impl Send for Module {}
// SAFETY: as above; what changes is behind a lock.
unsafe impl Sync for Module {}
// SAFETY: as above.
unsafe impl Send for Function {}

impl Card {
    /// The GPU of this process; the first call finds one, as [`choose`](Self::choose) does.
    ///
    /// # Errors
    /// As [`choose`](Self::choose).
    pub fn get() -> Result<&'static Card> {
        CARD.get().map_or_else(|| Card::choose(None), Ok)
    }

    /// The GPU of this number; without one that which the process uses, else number 0. The first call finds it,
    /// tests how tensors are found on it, and compiles the kernels. Where that fails a later call tries again.
    ///
    /// # Errors
    /// Where there is no driver or no such GPU, it can't be used, or the process uses another one.
    pub fn choose(number: Option<usize>) -> Result<&'static Card> {
        static OPENING: Mutex<()> = Mutex::new(());
        let _alone = OPENING.lock().unwrap_or_else(|e| e.into_inner());
        match (CARD.get(), number) {
            (Some(card), Some(number)) if number != card.found.number => {
                exists(number)?;
                Err(card.is_used_instead_of(number))
            }
            (Some(card), _) => Ok(card),
            (None, _) => {
                let card = without_panic(|| Card::open(number.unwrap_or(0)))?;
                Ok(CARD.get_or_init(|| card))
            }
        }
    }

    fn open(number: usize) -> Result<Card> {
        let found = Found::new(number)?;
        let set_up = |e| found.not_set_up(e);
        let cuda = Cuda::try_build(number, 0).map_err(set_up)?;
        // dfdx then reuses the memory of its tensors from step to step.
        cuda.try_enable_cache().map_err(set_up)?;
        let storage = Storage::<f32>::try_alloc_len(&cuda, 1).map_err(set_up)?;
        let device = storage.device();
        address::check(&cuda, &device)?;
        let blas = || Blas::new(&device).map_err(set_up);
        let (blas, recording_blas) = (blas()?, blas()?);
        Ok(Card {
            cuda: OnCard(cuda),
            module: Module::compile(&device).map_err(|e| found.refused_kernels(e))?,
            device,
            blas: Mutex::new(blas),
            recording_blas: Mutex::new(recording_blas),
            // A quarter of the GPU's.
            spare: Pool::new(found.memory / 16),
            moves: Default::default(),
            found,
            failed: Default::default(),
        })
    }

    fn is_used_instead_of(&self, number: usize) -> Error {
        let own = self.found.number;
        Error::Device(format!(
            "One process computes on one GPU, and this one computes on GPU {own}, {}. GPU {number} expected a process \
             of its own. Start another process that asks for `cuda:{number}` before it uses a GPU, or to which \
             CUDA_VISIBLE_DEVICES shows that GPU alone. Or continue on GPU {own}.",
            self.name()
        ))
    }

    /// Its name, as in `NVIDIA H100 80GB HBM3`.
    pub fn name(&self) -> &str {
        &self.found.name
    }

    /// dfdx's handle.
    pub fn cuda(&self) -> Cuda {
        self.cuda.0.clone()
    }

    /// cudarc's handle, its context being current in this thread from here on.
    pub fn device(&self) -> Result<&Arc<CudaDevice>> {
        self.device.bind_to_thread().map_err(|e| driver_error("be used in this thread", e))?;
        Ok(&self.device)
    }

    /// The stream on which this thread puts its work: dfdx's, or the one on which it records.
    pub(super) fn stream(&self) -> Result<sys::CUstream> {
        let main = *self.device()?.cu_stream();
        Ok(recorder::current().map_or(main, |recorder| recorder.stream()))
    }

    /// cuBLAS, for one thread at a time.
    pub(super) fn blas(&'static self) -> Result<MutexGuard<'static, Blas>> {
        self.device()?;
        let recorder = recorder::current();
        let blas = if recorder.is_some() { &self.recording_blas } else { &self.blas };
        let mut blas = blas.lock().unwrap_or_else(|e| e.into_inner());
        let tf32 = IN_TF32.get();
        if std::mem::replace(&mut blas.tf32, tf32) != tf32 {
            let mode = if tf32 {
                cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH
            } else {
                cublasMath_t::CUBLAS_DEFAULT_MATH
            };
            // SAFETY: the handle lives.
            unsafe { cublasSetMathMode(*blas.blas.handle(), mode) }
                .result()
                .map_err(|e| Error::Device(format!("The GPU could not multiply in TF32: {:?}.", e.0)))?;
        }
        if let Some(recorder) = recorder {
            recorder.count_launch();
            blas.set_stream(recorder.stream())
                .map_err(|e| Error::Device(format!("The GPU could not record products: {:?}.", e.0)))?;
        }
        Ok(blas)
    }

    /// Tells recordings that a variable has got other memory.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Another number whenever what was recorded before may be wrong.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Puts a kernel behind what the GPU has to do already; one without blocks is nothing to do.
    ///
    /// # Safety
    /// The addresses are of memory that is as large as the call's function says, and stays so until the
    /// kernel has run.
    pub unsafe fn launch(&self, call: Call<u64>) -> Result<()> {
        if call.grid.contains(&0) {
            return Ok(());
        }
        let function = self.module.function(call.kernel)?;
        // Each argument in eight bytes, from whose start the driver reads as many as the kernel declares.
        let mut values: Vec<[u8; 8]> = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            let mut value = [0; 8];
            match arg {
                Arg::Pointer(p) => value = p.to_ne_bytes(),
                Arg::Null => (),
                Arg::Int(i) => value[..4].copy_from_slice(&i.to_ne_bytes()),
                Arg::Float(f) => value[..4].copy_from_slice(&f.to_ne_bytes()),
            }
            values.push(value);
        }
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
        let ([x, y, z], [bx, by, bz]) = (call.grid, call.block);
        let (grid, block, stream) = ((x, y, z), (bx, by, bz), self.stream()?);
        if let Some(recorder) = recorder::current() {
            recorder.count_launch();
        }
        // SAFETY: the function is one of our module's, which is never unloaded, and gets the arguments that
        // it declares (`calls/` is tested against the kernels); the memory is the caller's promise.
        let launched = unsafe { result::launch_kernel(function.0, grid, block, 0, stream, &mut pointers) };
        launched.map_err(|e| driver_error(&format!("start the kernel {}", call.kernel), e))
    }

    /// Waits until everything is done.
    pub fn synchronize(&self) -> Result<()> {
        self.device()?.synchronize().map_err(|e| driver_error("finish its work", e))
    }

    /// Memory of `len` floats (at least one, so that there is an address), whatever they are.
    pub fn memory(&'static self, len: usize) -> Result<Memory> {
        let len = len.max(1);
        // What is recorded has memory of its own, since it runs again when others have used theirs.
        let pool = recorder::current().map_or_else(|| self.spare.clone(), |recorder| recorder.pool.clone());
        let slice = match pool.take(len) {
            Some(slice) => slice,
            None => self.allocate(len)?,
        };
        Ok(Memory::new(pool, slice))
    }

    fn allocate(&self, len: usize) -> Result<CudaSlice<f32>> {
        let device = self.device()?;
        // SAFETY: any bits are floats, and who takes memory writes before reading.
        let once = || unsafe { device.alloc::<f32>(len) };
        once().or_else(|_| {
            self.give_back()?;
            once().map_err(|e| driver_error(&format!("allocate {} bytes", 4 * len), e))
        })
    }

    /// Gives the driver all memory that is kept to be used again: it may be what is missing.
    pub(super) fn give_back(&self) -> Result<()> {
        self.spare.clear();
        let device = self.device()?;
        let _alone = super::allocating();
        let emptied = self.cuda.0.try_empty_cache().and_then(|()| Ok(device.synchronize()?));
        emptied.map_err(crate::ops::backend::device_error)
    }

    /// Keeps an error's text for [`failure`](Self::failure), and gives dfdx one in its place.
    pub fn failed(&self, e: Error) -> CudaError {
        *self.failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(e);
        CudaError::Cpu(dfdx::tensor::CpuError::WrongNumElements)
    }

    /// What is behind an error of dfdx's.
    pub fn failure(&self, e: CudaError) -> Error {
        let kept = self.failed.lock().unwrap_or_else(|e| e.into_inner()).take();
        kept.unwrap_or_else(|| crate::ops::backend::device_error(e))
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found.fmt(f)
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Module {
    fn compile(device: &Arc<CudaDevice>) -> Result<Self> {
        // The driver makes code for the GPU that is there from that for the oldest one.
        let options =
            CompileOptions { fmad: Some(false), arch: Some("compute_80"), ..CompileOptions::default() };
        let failed =
            |what: String| Error::Device(format!("The GPU's kernels could not be compiled: {what}."));
        let ptx = compile_ptx_with_opts(SOURCE, options).map_err(|e| failed(e.to_string()))?;
        let text = CString::new(ptx.to_src()).map_err(|e| failed(e.to_string()))?;
        device.bind_to_thread().map_err(|e| driver_error("be used in this thread", e))?;
        // SAFETY: the text ends with a zero, and the driver copies it.
        let module = unsafe { result::module::load_data(text.as_ptr().cast()) }
            .map_err(|e| driver_error("load its kernels (is the driver older than the toolkit)", e))?;
        Ok(Module { module, functions: Default::default() })
    }

    fn function(&self, name: &'static str) -> Result<Function> {
        let mut functions = self.functions.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(&function) = functions.get(name) {
            return Ok(function);
        }
        let missing = |e| driver_error(&format!("find the kernel {name}"), e);
        let text = CString::new(name).map_err(|e| Error::Device(e.to_string()))?;
        // SAFETY: the module is never unloaded.
        let function = Function(unsafe { result::module::get_function(self.module, text) }.map_err(missing)?);
        functions.insert(name, function);
        Ok(function)
    }
}
