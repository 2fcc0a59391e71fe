//! What the unwinder in the shipped module, zig's libunwind, would have of libpthread and libdl, and of
//! libc to print with.
//!
//! From glibc 2.34 on the two are empty, and no sshd has them loaded. Before, libpthread would come
//! into a process that may have begun without it. Each login would map both, for a panic that never
//! was. Of what is in the module only libunwind refers to these names. std could do with the first five's
//! answers too: its locks are its own, it has the loader look for most of what may be missing, and
//! the one name that it gives to dlsym, where a thread starts, may be unknown
//! (`library/std/src/sys/pal/unix/`: `weak.rs`, `thread.rs:min_stack_size`).
//!
//! Nor is anything printed: what libunwind says on stderr, mostly before it aborts, would go to whatever
//! sshd has there. And what is not asked of libc the loader need not look up, some 0.2 us for each name.
//!
//! Source: zig 0.17.1, `lib/libunwind/src`: `RWMutex.hpp`, `AddressSpace.hpp`, `UnwindCursor.hpp`,
//! `config.h`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// The lock's first word, as PTHREAD_RWLOCK_INITIALIZER has it and as we do.
const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// Readers wait for each other too. They look through a list that stays empty where code has an
/// index of its frames, as all that a linker makes, so that who waits need not sleep.
fn lock(word: &AtomicU32) {
    while word
        .compare_exchange_weak(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        thread::yield_now();
    }
}

fn unlock(word: &AtomicU32) {
    word.store(FREE, Ordering::Release);
}

/// The names, for the linker alone: hidden, so that the module neither exports them nor takes them
/// from others.
#[cfg(feature = "static-unwinder")]
mod names {
    use std::arch::global_asm;
    use std::ffi::{c_char, c_int, c_void};
    use std::ptr;
    use std::sync::atomic::AtomicU32;

    /// What succeeds, as these always do.
    const SUCCESS: c_int = 0;

    extern "C" fn pthread_rwlock_lock(lock: &AtomicU32) -> c_int {
        super::lock(lock);
        SUCCESS
    }

    extern "C" fn pthread_rwlock_unlock(lock: &AtomicU32) -> c_int {
        super::unlock(lock);
        SUCCESS
    }

    /// «No such address»: libunwind wants a function's name, to print it when it is debugged.
    extern "C" fn dladdr(_address: *const c_void, _info: *mut c_void) -> c_int {
        0
    }

    /// «No such symbol»: libunwind asks for `_dl_find_object`, and where there is none, as before
    /// glibc 2.35, uses dl_iterate_phdr(3).
    extern "C" fn dlsym(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
        ptr::null_mut()
    }

    /// Nothing was written. Whatever the arguments are, they stay where the caller has put them.
    extern "C" fn nothing_printed() -> c_int {
        0
    }

    #[cfg(target_arch = "x86_64")]
    macro_rules! jump {
        () => {
            "jmp"
        };
    }
    #[cfg(target_arch = "aarch64")]
    macro_rules! jump {
        () => {
            "b"
        };
    }

    /// A name that does nothing but jump to a function.
    macro_rules! name {
        ($name:literal, $function:path) => {
            global_asm!(
                ".pushsection .text.unwinder, \"ax\", %progbits",
                concat!(".globl ", $name),
                concat!(".hidden ", $name),
                concat!(".type ", $name, ", %function"),
                concat!($name, ": ", jump!(), " {}"),
                concat!(".size ", $name, ", . - ", $name),
                ".popsection",
                sym $function,
            );
        };
    }

    // SAFETY: each function has the C signature of its name, with a reference where libunwind gives
    // a valid pointer: the first 4 of a pthread_rwlock_t's 56 bytes, aligned to 8, which nothing but
    // these functions touches. What jumps leaves the stack and all registers as the caller had them.
    name!("pthread_rwlock_rdlock", pthread_rwlock_lock);
    name!("pthread_rwlock_wrlock", pthread_rwlock_lock);
    name!("pthread_rwlock_unlock", pthread_rwlock_unlock);
    name!("dladdr", dladdr);
    name!("dlsym", dlsym);
    // SAFETY: as above, and a variadic function of C may be called as one without arguments, in the
    // calling conventions of x86_64 and aarch64. snprintf(3) comes after dladdr(3) has said yes only: nobody
    // reads what it has not written.
    name!("fprintf", nothing_printed);
    name!("fwrite", nothing_printed);
    name!("fflush", nothing_printed);
    name!("snprintf", nothing_printed);
    // SAFETY: a pointer to nothing, in memory that nobody writes; only the functions above get it.
    global_asm!(
        ".pushsection .rodata.unwinder, \"a\", %progbits",
        ".balign 8",
        ".globl stderr",
        ".hidden stderr",
        ".type stderr, %object",
        "stderr: .quad 0",
        ".size stderr, 8",
        ".popsection",
    );
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn one_thread_at_a_time_has_the_lock() {
        const TURNS: u64 = 100_000;
        let word = AtomicU32::new(FREE);
        let count = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for turn in 0..TURNS {
                        lock(&word);
                        // Two steps: who had the lock at the same time would lose one of them.
                        let before = count.load(Ordering::Relaxed);
                        if turn % 1000 == 0 {
                            thread::yield_now();
                        }
                        count.store(before + 1, Ordering::Relaxed);
                        unlock(&word);
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 4 * TURNS);
        assert_eq!(word.into_inner(), FREE);
    }
}
