//! Why a call was refused, by Linux's numbers.
//!
//! The number is part of the user API: callers retry, fall back or give up by it. Hence one enum for the
//! whole crate, holding exactly the numbers that iommufd and VFIO give, and no `Other`.

/// The result of anything an ioctl, `read`, `write` or `mmap` of iommufd or VFIO may be refused.
pub type Result<T> = std::result::Result<T, Errno>;

/// Declares the enum and the table of its variants from one list.
macro_rules! errno {
    ($($name:ident = $number:literal, $sentence:literal;)*) => {
        /// A Linux error number. Its discriminant is the number itself, which is the same on x86-64 and
        /// AArch64.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[repr(i32)]
        pub enum Errno {
            $(
                #[doc = concat!("The caller is told: ", $sentence, ".")]
                #[error("{}: {}", stringify!($name), $sentence)]
                $name = $number,
            )*
        }

        impl Errno {
            /// Every variant, by ascending number.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

errno! {
    EPERM = 1, "the caller lacks the privilege, or the mapping the permission";
    ENOENT = 2, "no object or mapping has this ID, IOVA or name";
    ESRCH = 3, "the process is gone";
    EINTR = 4, "a signal interrupted the call";
    EIO = 5, "the hardware refused or failed";
    ENXIO = 6, "nothing lies at this offset";
    E2BIG = 7, "the structure says something in a part that is not known here";
    EBADF = 9, "the file descriptor is not open";
    EAGAIN = 11, "nothing is ready yet, try again";
    ENOMEM = 12, "memory, or the caller's limit of it, is exhausted";
    EACCES = 13, "access is not permitted";
    EFAULT = 14, "the address is not accessible memory of the caller";
    EBUSY = 16, "the object is in use";
    EEXIST = 17, "something of this identity or at this place exists already";
    ENODEV = 19, "there is no such device, or the device cannot do this";
    EINVAL = 22, "a value is understood and wrong";
    ENFILE = 23, "the system's table of open files is full";
    EMFILE = 24, "the process has too many open files";
    ENOTTY = 25, "the ioctl is not known here";
    EFBIG = 27, "the offset or size is beyond what a file may have";
    ENOSPC = 28, "there is no room left";
    ESPIPE = 29, "the file has no positions, and takes whole records only";
    ERANGE = 34, "the result is beyond what can be represented";
    EDEADLOCK = 35, "a user of the range does not let go of it";
    ENOMSG = 42, "no migration data is there for now";
    EBADE = 52, "what was exchanged is not what was expected";
    ENODATA = 61, "no data is available";
    EOVERFLOW = 75, "the end of the range overflows its type";
    EBADFD = 77, "the file descriptor is open, and of the wrong kind";
    EMSGSIZE = 90, "the buffer is too small for the answer";
    EOPNOTSUPP = 95, "a field asks for what is not known or not supported";
    EADDRINUSE = 98, "the range is mapped or allowed already";
    EADDRNOTAVAIL = 99, "the address cannot be had";
    ETIMEDOUT = 110, "the hardware did not answer in time";
}

impl Errno {
    /// The positive number that `errno` holds after the failed call.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The variant of a positive error number of the host; `None` if iommufd and VFIO give no such error.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|errno| errno.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row's number against the C library's, and that no variant is without a row.
    #[test]
    fn the_numbers_are_linuxs() {
        macro_rules! check {
            ($($name:ident)*) => {
                $(assert_eq!(Errno::$name.number(), libc::$name, stringify!($name));)*
                assert_eq!(Errno::ALL, &[$(Errno::$name),*]);
            };
        }
        check! {
            EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV
            EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE ERANGE EDEADLOCK ENOMSG EBADE ENODATA EOVERFLOW
            EBADFD EMSGSIZE EOPNOTSUPP EADDRINUSE EADDRNOTAVAIL ETIMEDOUT
        }
    }

    #[test]
    fn a_number_finds_its_variant() {
        for &errno in Errno::ALL {
            assert_eq!(Errno::from_number(errno.number()), Some(errno));
        }
        for unknown in [0, -libc::EINVAL, libc::ENOTEMPTY, i32::MAX, i32::MIN] {
            assert_eq!(Errno::from_number(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_message_begins_with_the_name() {
        assert_eq!(Errno::EINVAL.to_string(), "EINVAL: a value is understood and wrong");
        for errno in Errno::ALL {
            assert!(errno.to_string().starts_with(&format!("{errno:?}: ")), "{errno}");
        }
    }
}
