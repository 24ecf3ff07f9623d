-- ES256 and the digest of bodies, by the OpenSSL that nginx itself has loaded.
local crypto = (function()
  ffi.cdef([[
  void *d2i_PUBKEY(void **key, const unsigned char **data, long length);
  void EVP_PKEY_free(void *key);
  void *EVP_MD_CTX_new(void);
  void EVP_MD_CTX_free(void *context);
  int EVP_MD_CTX_reset(void *context);
  const void *EVP_sha256(void);
  int EVP_DigestInit_ex(void *context, const void *type, void *engine);
  int EVP_DigestUpdate(void *context, const void *data, size_t length);
  int EVP_DigestFinal_ex(void *context, unsigned char *digest, unsigned int *length);
  int EVP_DigestVerifyInit(void *context, void **key_context, const void *type, void *engine, void *key);
  int EVP_DigestVerify(void *context, const unsigned char *signature, size_t signature_length,
    const unsigned char *data, size_t length);
  void ERR_clear_error(void);
  ]])
  local found = pcall(function() return ffi.C.EVP_DigestVerify end)
  local C = found and ffi.C or ffi.load("libcrypto.so.3")
  local byte, char, match, sub = string.byte, string.char, string.match, string.sub
  local SPKI = "\48\89\48\19\6\7\42\134\72\206\61\2\1\6\8\42\134\72\206\61\3\1\7\3\66\0\4"
  local SHA256 = C.EVP_sha256()
  local context = ffi.gc(C.EVP_MD_CTX_new(), C.EVP_MD_CTX_free)
  local pointer = ffi.new("const unsigned char *[1]")
  local digest = ffi.new("unsigned char[32]")
  if context == nil or SHA256 == nil then error("watchword: OpenSSL gives no SHA-256") end

  local self = {}

  -- Returns the key of a point (x and y, 64 bytes), nil if it isn't one of P-256 (RFC 5480, section 2).
  function self.key(point)
    local data = SPKI .. point
    pointer[0] = data
    local key = C.d2i_PUBKEY(nil, pointer, #data)
    if key == nil then
      -- nginx would take what is left in OpenSSL's queue for an error of its next connection.
      C.ERR_clear_error()
      return nil
    end
    return ffi.gc(key, C.EVP_PKEY_free)
  end

  local function integer(number)
    -- DER (X.690, 8.3): no needless leading zero, and one where the first bit is set.
    local start = match(number, "^%z*()")
    if start > #number then start = #number end
    number = sub(number, start)
    if byte(number, 1) > 127 then number = "\0" .. number end
    return "\2" .. char(#number) .. number
  end

  -- Says whether `pair` (r and s, 64 bytes) is the key's ES256 signature.
  function self.is_signed(key, pair, message)
    local signature = integer(sub(pair, 1, 32)) .. integer(sub(pair, 33))
    signature = "\48" .. char(#signature) .. signature
    local good = C.EVP_DigestVerifyInit(context, nil, SHA256, nil, key) == 1
      and C.EVP_DigestVerify(context, signature, #signature, message, #message) == 1
    C.EVP_MD_CTX_reset(context)
    if not good then C.ERR_clear_error() end
    return good
  end

  -- Returns SHA-256 of what a function gives piece by piece, until it gives nil.  Nothing yields in between.
  function self.digest_of(next_piece)
    if C.EVP_DigestInit_ex(context, SHA256, nil) ~= 1 then error("watchword: no digest") end
    local piece = next_piece()
    while piece do
      if C.EVP_DigestUpdate(context, piece, #piece) ~= 1 then error("watchword: no digest") end
      piece = next_piece()
    end
    local done = C.EVP_DigestFinal_ex(context, digest, nil)
    C.EVP_MD_CTX_reset(context)
    if done ~= 1 then error("watchword: no digest") end
    return ffi.string(digest, 32)
  end

  -- What OpenSSL says about the one signature of RFC 6979, A.2.5 (P-256, SHA-256, "sample"); an OpenSSL that says
  -- anything else, or takes another message or a point beside the curve, gets no gate.
  local function bytes(hex) return (string.gsub(hex, "..", function(pair) return char(tonumber(pair, 16)) end)) end
  local point = bytes("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    .. "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299")
  local pair = bytes("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    .. "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")
  local key = self.key(point)
  if not key or not self.is_signed(key, pair, "sample") or self.is_signed(key, pair, "simple")
    or self.is_signed(key, string.rep("\0", 64), "sample") or self.key(sub(point, 1, 63) .. "\0") then
    error("watchword: the self-test of ES256 failed")
  end
  return self
end)()
