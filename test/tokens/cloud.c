/*
 * A PKCS#11 module that behaves before SoftHSM as modules of cloud services do by their sources. No PIN is wanted: it logs in
 * by itself.
 *
 *   CLOUD_KIND    aws: JackOfMostTrades/aws-kms-pkcs11, aws_kms_pkcs11.cpp (June 2026), and what the service behind it takes
 *                 google: GoogleCloudPlatform/kms-integrations, kmsp11 (May 2026)
 *   CLOUD_MODULE  SoftHSM
 *   CLOUD_PIN     its user's PIN
 *   CLOUD_LOG     a file that gets a line for each C_Sign: "0xMECHANISM LENGTH 0xRV"
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pkcs11.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static CK_FUNCTION_LIST *real, mine;
/* Of the last C_SignInit: a module host signs one at a time. */
static CK_MECHANISM_TYPE mechanism;
static CK_RSA_PKCS_PSS_PARAMS pss;
static CK_OBJECT_HANDLE key;

static int is_aws(void) { return !strcmp(getenv("CLOUD_KIND"), "aws"); }

static CK_ULONG hash_length(CK_MECHANISM_TYPE hash) {
  return hash == CKM_SHA256 ? 32 : hash == CKM_SHA384 ? 48 : hash == CKM_SHA512 ? 64 : 0;
}

static const CK_BYTE info256[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                  0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
static const CK_BYTE info384[] = {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                  0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30};
static const CK_BYTE info512[] = {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                  0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40};

static const CK_BYTE *info_of(CK_ULONG length) { return length <= 32 ? info256 : length <= 48 ? info384 : info512; }

static int is_info(const CK_BYTE *data, CK_ULONG n, CK_ULONG digest) {
  return n == sizeof info256 + digest && !memcmp(data, info_of(digest), sizeof info256);
}

static void get(CK_SESSION_HANDLE h, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG *n) {
  CK_ATTRIBUTE attribute = {type, value, *n};
  *n = real->C_GetAttributeValue(h, key, &attribute, 1) == CKR_OK ? attribute.ulValueLen : 0;
}

/* The length of the hash that goes with the EC key's curve; 0 for another key. */
static CK_ULONG curve_hash(CK_SESSION_HANDLE h) {
  CK_BYTE parameters[32];
  CK_ULONG n = sizeof parameters;
  get(h, CKA_EC_PARAMS, parameters, &n);
  return n == 10 ? 32 : n == 7 ? (parameters[6] == 0x22 ? 48 : 64) : 0;
}

/* google: the one algorithm that a key has, by its label. */
struct algorithm {
  const char *label;
  CK_MECHANISM_TYPE allowed[2], hash;
};
static const struct algorithm algorithms[] = {
    {"rsa2048", {CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS}, CKM_SHA256},
    {"rsa3072", {CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS}, CKM_SHA256},
    {"rsa4096", {CKM_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS}, CKM_SHA512},
    {"p256", {CKM_ECDSA, CKM_ECDSA_SHA256}, CKM_SHA256},
    {"p384", {CKM_ECDSA, CKM_ECDSA_SHA384}, CKM_SHA384},
};

static const struct algorithm *algorithm_of(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object) {
  char label[33] = {0};
  CK_ATTRIBUTE attribute = {CKA_LABEL, label, sizeof label - 1};
  if (real->C_GetAttributeValue(h, object, &attribute, 1) != CKR_OK) return NULL;
  for (size_t i = 0; i < LENGTH(algorithms); i++)
    if (!strcmp(label, algorithms[i].label)) return &algorithms[i];
  return NULL;
}

static CK_RV my_C_GetTokenInfo(CK_SLOT_ID s, CK_TOKEN_INFO_PTR i) {
  CK_RV rv = real->C_GetTokenInfo(s, i);
  if (rv == CKR_OK && (i->flags & CKF_TOKEN_INITIALIZED)) i->flags = CKF_TOKEN_INITIALIZED;
  return rv;
}

static CK_RV my_C_GetMechanismList(CK_SLOT_ID s, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR n) {
  static const CK_MECHANISM_TYPE aws[] = {CKM_RSA_PKCS, CKM_ECDSA};
  static const CK_MECHANISM_TYPE google[] = {CKM_ECDSA,           CKM_ECDSA_SHA256,        CKM_ECDSA_SHA384,
                                             CKM_RSA_PKCS,        CKM_SHA256_RSA_PKCS,     CKM_SHA512_RSA_PKCS,
                                             CKM_RSA_PKCS_PSS,    CKM_SHA256_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS,
                                             CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN};
  size_t size = is_aws() ? sizeof aws : sizeof google;
  (void)s;
  if (list && *n < size / sizeof *list) return CKR_BUFFER_TOO_SMALL;
  if (list) memcpy(list, is_aws() ? aws : google, size);
  *n = size / sizeof *list;
  return CKR_OK;
}

static CK_RV my_C_OpenSession(CK_SLOT_ID s, CK_FLAGS f, CK_VOID_PTR a, CK_NOTIFY c, CK_SESSION_HANDLE_PTR h) {
  CK_RV rv = real->C_OpenSession(s, f, a, c, h);
  char *pin = getenv("CLOUD_PIN");
  if (rv != CKR_OK) return rv;
  rv = real->C_Login(*h, CKU_USER, (CK_UTF8CHAR_PTR)pin, strlen(pin));
  return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

static CK_RV my_C_Login(CK_SESSION_HANDLE h, CK_USER_TYPE u, CK_UTF8CHAR_PTR p, CK_ULONG n) {
  (void)h, (void)u, (void)p, (void)n;
  return CKR_OK;
}

static CK_RV my_C_Logout(CK_SESSION_HANDLE h) {
  (void)h;
  return CKR_OK;
}

static CK_RV my_C_GetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR t, CK_ULONG n) {
  const struct algorithm *algorithm = is_aws() ? NULL : algorithm_of(h, o);
  for (CK_ULONG i = 0; i < n; i++) {
    CK_RV rv = CKR_OK;
    if (t[i].type == CKA_ALLOWED_MECHANISMS && algorithm) {
      if (t[i].pValue) memcpy(t[i].pValue, algorithm->allowed, sizeof algorithm->allowed);
      t[i].ulValueLen = sizeof algorithm->allowed;
    } else if (t[i].type == CKA_ALLOWED_MECHANISMS) {
      t[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
      return CKR_ATTRIBUTE_TYPE_INVALID;
    } else {
      rv = real->C_GetAttributeValue(h, o, &t[i], 1);
    }
    if (rv != CKR_OK) return rv;
  }
  return CKR_OK;
}

/* ValidatePssParameters in rsassa_pss.cc */
static int fits(const struct algorithm *algorithm) {
  CK_ULONG length = hash_length(algorithm->hash);
  unsigned long mgf = length == 32 ? CKG_MGF1_SHA256 : length == 48 ? CKG_MGF1_SHA384 : CKG_MGF1_SHA512;
  return pss.hashAlg == algorithm->hash && pss.mgf == mgf && pss.sLen == length;
}

static CK_RV my_C_SignInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE k) {
  const struct algorithm *algorithm = algorithm_of(h, k);
  mechanism = m->mechanism;
  key = k;
  memset(&pss, 0, sizeof pss);
  if (m->ulParameterLen == sizeof pss) memcpy(&pss, m->pParameter, sizeof pss);
  /* aws takes all, and looks in C_Sign */
  if (is_aws()) return CKR_OK;
  /* CheckKeyPreconditions in preconditions.cc */
  if (!algorithm || (algorithm->allowed[0] != mechanism && algorithm->allowed[1] != mechanism))
    return CKR_KEY_FUNCTION_NOT_PERMITTED;
  if (m->ulParameterLen && !fits(algorithm)) return CKR_MECHANISM_PARAM_INVALID;
  return real->C_SignInit(h, m, k);
}

static CK_RV sign_with(CK_SESSION_HANDLE h, CK_MECHANISM_TYPE type, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_MECHANISM m = {type, type == CKM_RSA_PKCS_PSS ? &pss : NULL, type == CKM_RSA_PKCS_PSS ? sizeof pss : 0};
  CK_RV rv = real->C_SignInit(h, &m, key);
  return rv == CKR_OK ? real->C_Sign(h, d, n, s, l) : rv;
}

/* What is no DigestInfo of SHA-256, 384 or 512 goes to the service as a digest, of whichever of the three it fits into. */
static CK_RV aws_pkcs1(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_BYTE info[sizeof info256 + 64] = {0};
  CK_ULONG length = n <= 32 ? 32 : n <= 48 ? 48 : 64;
  if (is_info(d, n, 32) || is_info(d, n, 48) || is_info(d, n, 64)) return sign_with(h, CKM_RSA_PKCS, d, n, s, l);
  if (n > 64) return CKR_ARGUMENTS_BAD;
  memcpy(info, info_of(n), sizeof info256);
  memcpy(info + sizeof info256 + length - n, d, n);
  return sign_with(h, CKM_RSA_PKCS, info, sizeof info256 + length, s, l);
}

/* The salt's length is not passed on: the service takes that of the hash. */
static CK_RV aws_pss(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_ULONG length = hash_length(pss.hashAlg);
  if (length == 0 || n > length) return CKR_ARGUMENTS_BAD;
  if (n < length) return CKR_FUNCTION_FAILED;
  pss.sLen = length;
  return sign_with(h, CKM_RSA_PKCS_PSS, d, n, s, l);
}

/* The service takes digests of the curve's hash only; r and s lose their leading zeros on the way back (BN_bn2bin). */
static CK_RV aws_ecdsa(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_BYTE raw[160], *r = raw, *end;
  CK_ULONG length = sizeof raw, half, at = 0;
  CK_RV rv;
  if (n != curve_hash(h)) return CKR_FUNCTION_FAILED;
  if ((rv = sign_with(h, CKM_ECDSA, d, n, raw, &length)) != CKR_OK) return rv;
  half = length / 2;
  for (int i = 0; i < 2; i++, r = end) {
    end = raw + (i + 1) * half;
    while (r < end && *r == 0) r++;
    memcpy(s + at, r, end - r);
    at += end - r;
  }
  *l = at;
  return CKR_OK;
}

static CK_RV aws_sign(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  if (mechanism == CKM_RSA_PKCS) return aws_pkcs1(h, d, n, s, l);
  if (mechanism == CKM_RSA_PKCS_PSS) return aws_pss(h, d, n, s, l);
  if (mechanism == CKM_ECDSA) return aws_ecdsa(h, d, n, s, l);
  return CKR_ARGUMENTS_BAD;
}

static CK_RV google_sign(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_ULONG length = hash_length(algorithm_of(h, key)->hash);
  int is_wrong = mechanism == CKM_RSA_PKCS                                    ? !is_info(d, n, length)
                 : mechanism == CKM_RSA_PKCS_PSS || mechanism == CKM_ECDSA ? n != length
                                                                            : 0;
  CK_BYTE digest[64] = {0}, unused[1024];
  CK_ULONG room = sizeof unused;
  if (!is_wrong) return real->C_Sign(h, d, n, s, l);
  real->C_Sign(h, digest, length, unused, &room); /* so that the operation ends */
  return mechanism == CKM_RSA_PKCS ? CKR_DATA_INVALID : CKR_DATA_LEN_RANGE;
}

static CK_RV my_C_Sign(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  CK_RV rv = is_aws() ? aws_sign(h, d, n, s, l) : google_sign(h, d, n, s, l);
  FILE *log = fopen(getenv("CLOUD_LOG"), "a");
  if (log) fprintf(log, "0x%lx %lu 0x%lx\n", mechanism, n, rv), fclose(log);
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
  if (!real) {
    void *library = dlopen(getenv("CLOUD_MODULE"), RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get_list)(CK_FUNCTION_LIST_PTR_PTR) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    CK_RV rv = get_list ? get_list(&real) : CKR_GENERAL_ERROR;
    if (rv != CKR_OK) return rv;
    mine = *real;
#define TAKE(name) mine.name = my_##name;
    TAKE(C_GetTokenInfo) TAKE(C_GetMechanismList) TAKE(C_OpenSession) TAKE(C_Login) TAKE(C_Logout)
    TAKE(C_GetAttributeValue) TAKE(C_SignInit) TAKE(C_Sign)
    mine.C_GetFunctionList = C_GetFunctionList;
  }
  *out = &mine;
  return CKR_OK;
}
