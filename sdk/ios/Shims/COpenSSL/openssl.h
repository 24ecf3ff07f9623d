// What the stand-in for CryptoKit calls. EC_KEY and SHA256_CTX are marked as old since OpenSSL 3, and are the smallest way there:
// a hash is a value without allocation, and a key one object with one way to free it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
