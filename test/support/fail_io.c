/* A library for LD_PRELOAD that makes the n-th file operation of a program go wrong.
 *
 * The operations are open, read, write, fsync, fdatasync, ftruncate, rename, unlink, mkdir and
 * rmdir, in all their forms, on what lies below one folder. Nothing goes wrong until the program
 * has called fail_io_configure, which it finds by dlsym. Not thread safe. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KILLED = 137, PATH_SIZE = 2 * PATH_MAX };

enum Mode {
  NOTHING, /* operations are only counted and traced */
  KILL,    /* the process ends just before operation `at` */
  TORN,    /* it ends after half of it if it is a write, else just after it */
  FAIL,    /* operation `at` fails with `error` */
  FAIL_ON, /* it and all after it fail that way */
  FULL, /* from `at` on, what takes room fails: writes (the first after half of it), opens, mkdir */
  SHORT /* operation `at`, if it is a write, writes half */
};

static char folder[PATH_SIZE];
static enum Mode mode = NOTHING;
static long at, count;
static int error_number;
static int trace = -1;

/* trace_file: one line for each operation, its name and paths; NULL for none. */
void fail_io_configure(
    const char* below, const char* how, long number, int error, const char* trace_file) {
  static const char* const names[] = {
      "nothing", "kill", "torn", "fail", "fail_on", "full", "short"};
  int i;
  mode = NOTHING;
  for (i = 0; i < (int)(sizeof(names) / sizeof(*names)); ++i) {
    if (strcmp(how, names[i]) == 0) mode = (enum Mode)i;
  }
  at = number;
  count = 0;
  error_number = error;
  trace = trace_file == NULL ? -1 : open(trace_file, O_WRONLY | O_CREAT | O_APPEND, 0666);
  snprintf(folder, sizeof(folder), "%s", below);
}

/* The next definition of a function: the C library's. */
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

typedef ssize_t (*WriteFunction)(int, const void*, size_t);

static int is_below(const char* path) {
  const size_t length = strlen(folder);
  return length > 0 && strncmp(path, folder, length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}

static void path_of_descriptor(int file, char* path) {
  char link[64];
  ssize_t length;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = '\0';
}

/* The whole path of `name` as openat and its like understand it. */
static void whole_path(int directory, const char* name, char* path) {
  if (name[0] == '/' || directory == AT_FDCWD) {
    snprintf(path, PATH_SIZE, "%s", name);
  } else {
    path_of_descriptor(directory, path);
    snprintf(path + strlen(path), PATH_SIZE - strlen(path), "/%s", name);
  }
}

static void write_trace(const char* operation, const char* path, const char* second) {
  char line[3 * PATH_SIZE];
  const int length = snprintf(line, sizeof(line), "%s\t%s\t%s\n", operation, path, second);
  if (trace >= 0 && REAL("write", WriteFunction)(trace, line, (size_t)length) != length) _exit(99);
}

/* Counts an operation. Returns whether it is to fail; errno is then set. `takes_room`: whether a
 * full disk stops it. */
static int strikes(const char* operation, const char* path, const char* second, int takes_room) {
  if (!is_below(path)) return 0;
  write_trace(operation, path, second);
  ++count;
  if (mode == KILL && count == at) _exit(KILLED);
  if ((mode == FAIL && count == at) || (mode == FAIL_ON && count >= at) ||
      (mode == FULL && count >= at && takes_room)) {
    errno = error_number;
    return 1;
  }
  return 0;
}

/* To be called after an operation that was not a write. */
static void end_if_torn(const char* path) {
  if (mode == TORN && count == at && is_below(path)) _exit(KILLED);
}

static int open_at(int directory, const char* name, int flags, mode_t permissions) {
  typedef int (*Function)(int, const char*, int, ...);
  char path[PATH_SIZE];
  int file;
  const int creates = (flags & O_CREAT) != 0;
  whole_path(directory, name, path);
  if (strikes(creates ? "create" : "open", path, "", creates)) return -1;
  file = REAL("openat", Function)(directory, name, flags, permissions);
  end_if_torn(path);
  return file;
}

#define PERMISSIONS(flags, permissions)         \
  mode_t permissions = 0;                       \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list arguments;                          \
    va_start(arguments, flags);                 \
    permissions = va_arg(arguments, unsigned);  \
    va_end(arguments);                          \
  }

int open(const char* path, int flags, ...) {
  PERMISSIONS(flags, permissions)
  return open_at(AT_FDCWD, path, flags, permissions);
}

int open64(const char* path, int flags, ...) {
  PERMISSIONS(flags, permissions)
  return open_at(AT_FDCWD, path, flags, permissions);
}

int openat(int directory, const char* name, int flags, ...) {
  PERMISSIONS(flags, permissions)
  return open_at(directory, name, flags, permissions);
}

int openat64(int directory, const char* name, int flags, ...) {
  PERMISSIONS(flags, permissions)
  return open_at(directory, name, flags, permissions);
}

ssize_t read(int file, void* data, size_t size) {
  typedef ssize_t (*Function)(int, void*, size_t);
  char path[PATH_SIZE];
  ssize_t result;
  path_of_descriptor(file, path);
  if (strikes("read", path, "", 0)) return -1;
  result = REAL("read", Function)(file, data, size);
  end_if_torn(path);
  return result;
}

ssize_t write(int file, const void* data, size_t size) {
  char path[PATH_SIZE];
  int is_chosen;
  const WriteFunction real_write = REAL("write", WriteFunction);
  path_of_descriptor(file, path);
  is_chosen = is_below(path) && count + 1 == at;
  if (is_chosen && (mode == TORN || (size > 1 && (mode == SHORT || mode == FULL)))) {
    ssize_t written;
    ++count;
    write_trace("write", path, "half");
    written = real_write(file, data, size / 2);
    if (mode == TORN) _exit(KILLED);
    return written;
  }
  if (strikes("write", path, "", 1)) return -1;
  return real_write(file, data, size);
}

static int on_descriptor(const char* name, int file) {
  typedef int (*Function)(int);
  char path[PATH_SIZE];
  int result;
  path_of_descriptor(file, path);
  if (strikes("fsync", path, "", 1)) return -1;
  result = REAL(name, Function)(file);
  end_if_torn(path);
  return result;
}

int fsync(int file) { return on_descriptor("fsync", file); }
int fdatasync(int file) { return on_descriptor("fdatasync", file); }

int ftruncate(int file, off_t size) {
  typedef int (*Function)(int, off_t);
  char path[PATH_SIZE];
  int result;
  path_of_descriptor(file, path);
  if (strikes("ftruncate", path, "", 0)) return -1;
  result = REAL("ftruncate", Function)(file, size);
  end_if_torn(path);
  return result;
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  typedef int (*Function)(int, const char*, int, const char*, unsigned);
  char from_path[PATH_SIZE], to_path[PATH_SIZE];
  int result;
  whole_path(from_folder, from, from_path);
  whole_path(to_folder, to, to_path);
  if (strikes(flags == 0 ? "rename" : "exchange", from_path, to_path, 1)) return -1;
  result = REAL("renameat2", Function)(from_folder, from, to_folder, to, flags);
  end_if_torn(from_path);
  return result;
}

int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return renameat2(from_folder, from, to_folder, to, 0);
}

int unlinkat(int directory, const char* name, int flags) {
  typedef int (*Function)(int, const char*, int);
  char path[PATH_SIZE];
  int result;
  whole_path(directory, name, path);
  if (strikes("unlink", path, "", 0)) return -1;
  result = REAL("unlinkat", Function)(directory, name, flags);
  end_if_torn(path);
  return result;
}

int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char* path) {
  struct stat status;
  if (lstat(path, &status) != 0) return -1;
  return S_ISDIR(status.st_mode) ? rmdir(path) : unlink(path);
}

int mkdirat(int directory, const char* name, mode_t permissions) {
  typedef int (*Function)(int, const char*, mode_t);
  char path[PATH_SIZE];
  int result;
  whole_path(directory, name, path);
  if (strikes("mkdir", path, "", 1)) return -1;
  result = REAL("mkdirat", Function)(directory, name, permissions);
  end_if_torn(path);
  return result;
}

int mkdir(const char* path, mode_t permissions) { return mkdirat(AT_FDCWD, path, permissions); }
