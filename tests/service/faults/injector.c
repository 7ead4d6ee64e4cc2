/* Faults of the system, put between a process and its C library (LD_PRELOAD).

   What fails is said in a file that the process and its test have mapped: see Faults in
   injecting.py, which knows the same layout. What does not fail goes on to the library. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct place {
    volatile int32_t error;  /* what it fails with; nothing fails for 0 */
    volatile int32_t failed; /* how often it has */
    char path[504];          /* of every file whose path has this in it */
};

static struct faults {
    volatile int64_t ahead; /* seconds by which the clock on the wall is */
    struct place thread, write, sync;
} none, *faults = &none;

__attribute__((constructor)) static void map(void) {
    const char *path = getenv("CALOTYPE_FAULTS");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) abort();
    faults = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (faults == MAP_FAILED) abort();
    close(file);
    unsetenv("LD_PRELOAD"); /* what the process starts is none of ours */
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int fails(struct place *place, const char *path) {
    if (!place->error || !path || !strstr(path, place->path)) return 0;
    place->failed++;
    errno = place->error;
    return 1;
}

static int fails_at(struct place *place, int file) {
    char link[40], path[4096];
    if (!place->error) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(place, path);
}

int fsync(int file) { return fails_at(&faults->sync, file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails_at(&faults->sync, file) ? -1 : REAL(fdatasync)(file); }

#define WRITE(name, arguments, ...)                                   \
    ssize_t name arguments {                                          \
        static __typeof__(&name) real;                                \
        if (!real) real = REAL(name);                                 \
        return fails_at(&faults->write, file) ? -1 : real(__VA_ARGS__); \
    }
WRITE(write, (int file, const void *data, size_t size), file, data, size)
WRITE(pwrite, (int file, const void *data, size_t size, off_t at), file, data, size, at)
WRITE(pwrite64, (int file, const void *data, size_t size, off64_t at), file, data, size, at)

#define CHANGE(name, arguments, ...)                                  \
    int name arguments {                                              \
        return fails_at(&faults->write, file) ? -1 : REAL(name)(__VA_ARGS__); \
    }
CHANGE(ftruncate, (int file, off_t size), file, size)
CHANGE(ftruncate64, (int file, off64_t size), file, size)

/* These return the error. */
int posix_fallocate(int file, off_t at, off_t size) {
    return fails_at(&faults->write, file) ? errno : REAL(posix_fallocate)(file, at, size);
}
int posix_fallocate64(int file, off64_t at, off64_t size) {
    return fails_at(&faults->write, file) ? errno : REAL(posix_fallocate64)(file, at, size);
}

#define NAME(name, arguments, path, ...)                              \
    int name arguments {                                              \
        return fails(&faults->write, path) ? -1 : REAL(name)(__VA_ARGS__); \
    }
NAME(rename, (const char *from, const char *to), to, from, to)
NAME(link, (const char *from, const char *to), to, from, to)
NAME(unlink, (const char *path), path, path)
NAME(mkdir, (const char *path, mode_t mode), path, path, mode)

#define OPEN(name)                                                    \
    int name(const char *path, int flags, ...) {                      \
        va_list rest;                                                 \
        va_start(rest, flags);                                        \
        int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest);                                                 \
        int writes = flags & (O_CREAT | O_WRONLY | O_RDWR);           \
        return writes && fails(&faults->write, path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += faults->ahead;
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    if (fails(&faults->thread, "")) return errno;
    return REAL(pthread_create)(thread, attributes, run, argument);
}
