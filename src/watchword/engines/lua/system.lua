-- The few calls of the C library that files and shared memory need.
ffi.cdef([[
int open(const char *path, int flags, ...);
int close(int fd);
ssize_t read(int fd, void *data, size_t length);
int flock(int fd, int operation);
int poll(void *none, unsigned long count, int milliseconds);
int statx(int directory, const char *path, int flags, unsigned int mask, void *out);
unsigned int geteuid(void);
int posix_fallocate(int fd, int64_t offset, int64_t length);
void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
int munmap(void *address, size_t length);
int pthread_mutexattr_init(void *attributes);
int pthread_mutexattr_setpshared(void *attributes, int shared);
int pthread_mutexattr_setrobust(void *attributes, int robust);
int pthread_mutexattr_settype(void *attributes, int type);
int pthread_mutex_init(void *mutex, const void *attributes);
int pthread_mutex_lock(void *mutex);
int pthread_mutex_unlock(void *mutex);
int pthread_mutex_consistent(void *mutex);
typedef struct {
  uint32_t mask, block_size; uint64_t attributes; uint32_t links, owner, group; uint16_t mode, spare;
  uint64_t inode, size; uint8_t rest[208];
} watchword_statx;
]])

local system = {}

-- Returns the size of an open file as it is now.
function system.size(fd)
  local found = ffi.new("watchword_statx")
  if ffi.C.statx(fd, "", 0x1000, 0x7ff, found) ~= 0 then error("watchword: a file can't be examined") end
  return tonumber(found.size)
end

-- Reads up to `size` bytes of an open file into a buffer; returns how many there were.
function system.fill(fd, buffer, size)
  local filled = 0
  while filled < size do
    local got = tonumber(ffi.C.read(fd, buffer + filled, size - filled))
    if got <= 0 then break end
    filled = filled + got
  end
  return filled
end

-- Opens a regular file that is ours and nobody else's; returns its descriptor and its size.
function system.open_private(path, flags)
  local C = ffi.C
  local O_NOFOLLOW = ffi.arch == "arm64" and 0x8000 or 0x20000
  local fd = C.open(path, bit.bor(flags, O_NOFOLLOW, 0x80000, 0x800), ffi.cast("int", 384))
  if fd < 0 then error("watchword: " .. path .. " can't be opened, error " .. ffi.errno()) end
  local found = ffi.new("watchword_statx")
  local failed = C.statx(fd, "", 0x1000, 0x7ff, found) ~= 0
  local problem
  if failed then
    problem = "can't be examined"
  elseif bit.band(found.mode, 0xf000) ~= 0x8000 then
    problem = "isn't a regular file"
  elseif bit.band(found.mode, 63) ~= 0 then
    problem = "can be used by others; its mode must be 0600"
  elseif found.owner ~= C.geteuid() then
    problem = "belongs to another user than the one who runs this"
  end
  if problem then
    C.close(fd)
    error("watchword: " .. path .. " " .. problem)
  end
  return fd, tonumber(found.size)
end

-- Returns what is in a regular file that is ours and nobody else's, of at most `most` bytes.
function system.contents(path, most)
  local fd, size = system.open_private(path, 0)
  local data
  if size <= most then
    local buffer = ffi.new("uint8_t[?]", size + 1)
    data = system.fill(fd, buffer, size + 1) == size and ffi.string(buffer, size)
  end
  ffi.C.close(fd)
  if not data then error("watchword: " .. path .. " has more than " .. most .. " bytes, or somebody writes to it", 0) end
  return data
end

-- Returns what tells a file from every other one that may stand under its name, nil if there is none: inode, size, and
-- when content and entry changed last.
local marked = ffi.new("watchword_statx")
function system.mark(path)
  if ffi.C.statx(-100, path, 0, 0x7ff, marked) ~= 0 then return nil end
  local bytes = ffi.cast("const uint8_t *", marked)
  return ffi.string(bytes + 32, 16) .. ffi.string(bytes + 96, 32)
end

-- Makes a lock that processes share, in memory that they share.
function system.make_lock(mutex)
  local C = ffi.C
  local attributes = ffi.new("uint64_t[16]")
  -- Shared by processes; released when its owner dies; an error if one thread takes it twice.
  if C.pthread_mutexattr_init(attributes) ~= 0 or C.pthread_mutexattr_setpshared(attributes, 1) ~= 0
    or C.pthread_mutexattr_setrobust(attributes, 1) ~= 0 or C.pthread_mutexattr_settype(attributes, 2) ~= 0
    or C.pthread_mutex_init(mutex, attributes) ~= 0 then
    error("watchword: there is no lock")
  end
end

-- Takes a lock; tells whether it was taken.  Its last owner may have been killed in the middle of what it guards:
-- whoever uses this guards something that is right after each of its steps.
local held = false
function system.lock(mutex)
  local locked = ffi.C.pthread_mutex_lock(mutex)
  if locked == 130 then
    ffi.C.pthread_mutex_consistent(mutex)
    locked = 0
  end
  -- "This thread has it already": an error threw between taking it and giving it back.  Where it didn't, a thread of
  -- another PID namespace has it, which has the same number there (two containers that share the memory).
  held = locked == 0 or locked == 35 and held
  return held
end

-- Gives a lock back.
function system.unlock(mutex)
  held = false
  ffi.C.pthread_mutex_unlock(mutex)
end
