/*
 * The least that signs for OpenVPN: what pksigd is compared with. It checks nothing and logs nothing.
 *
 *   agent [--verify] [--threads N] (--connect SOCKET | --listen SOCKET) KEY
 *
 * KEY is --key FILE, or --module PATH --token LABEL --pin-file FILE --object LABEL --public FILE. --verify verifies each
 * signature with OpenSSL before it is sent. With several threads, connections are dealt out among them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "pkcs11.h"

#ifndef CKM_EDDSA
#define CKM_EDDSA 0x1057 /* PKCS #11 3.0 */
#endif
#define LINE 10240
#define SIGNATURE 1024

#define NEED(condition) \
  do { \
    if (!(condition)) fail(#condition, __LINE__); \
  } while (0)

static void fail(const char *what, int line) {
  fprintf(stderr, "agent.c:%d: not so: %s (%s)\n", line, what, strerror(errno));
  exit(1);
}

struct connection {
  int fd;
  size_t filled;
  char line[LINE + 1];
};

/* What one thread signs and verifies with. */
struct worker {
  pthread_t thread;
  int epoll;
  CK_SESSION_HANDLE session;
  CK_OBJECT_HANDLE object;
  EVP_PKEY_CTX *signing, *verifying;
  EVP_MD_CTX *message;
};

static struct {
  int verify, threads;
  char *connect, *listen, *key, *module, *token, *pin_file, *object, *public;
} options = {.threads = 1};
static CK_FUNCTION_LIST *token;
static EVP_PKEY *key; /* the private one, or the public one of a key in a token */

/* The token */

static CK_SLOT_ID find_slot(void) {
  CK_SLOT_ID slots[64];
  CK_ULONG count = 64;
  NEED(token->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK);
  size_t length = strlen(options.token);
  for (CK_ULONG at = 0; at < count; at++) {
    CK_TOKEN_INFO info;
    if (token->C_GetTokenInfo(slots[at], &info) != CKR_OK) continue;
    if (!memcmp(info.label, options.token, length) && info.label[length] == ' ') return slots[at];
  }
  fail("the token is there", __LINE__);
  return 0;
}

static void load_module(void) {
  void *library = dlopen(options.module, RTLD_NOW);
  NEED(library != NULL);
  CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
  NEED(get != NULL && get(&token) == CKR_OK);
  CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
  NEED(token->C_Initialize(&arguments) == CKR_OK);
}

static void open_session(struct worker *worker, int first) {
  static CK_SLOT_ID slot;
  if (first) slot = find_slot();
  NEED(token->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &worker->session) == CKR_OK);
  if (first) {
    char pin[256] = "";
    FILE *file = fopen(options.pin_file, "r");
    NEED(file != NULL && fgets(pin, sizeof pin, file) != NULL);
    fclose(file);
    pin[strcspn(pin, "\r\n")] = 0;
    NEED(token->C_Login(worker->session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)) == CKR_OK);
  }
  CK_OBJECT_CLASS private = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &private, sizeof private},
                           {CKA_LABEL, options.object, strlen(options.object)}};
  CK_ULONG found = 0;
  NEED(token->C_FindObjectsInit(worker->session, wanted, 2) == CKR_OK);
  NEED(token->C_FindObjects(worker->session, &worker->object, 1, &found) == CKR_OK && found == 1);
  token->C_FindObjectsFinal(worker->session);
}

static size_t token_sign(struct worker *worker, int type, const unsigned char *data, size_t length,
                         unsigned char *signature) {
  CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, SHA256_DIGEST_LENGTH};
  CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
  if (type == EVP_PKEY_RSA) mechanism = (CK_MECHANISM){CKM_RSA_PKCS_PSS, &pss, sizeof pss};
  if (type == EVP_PKEY_ED25519) mechanism = (CK_MECHANISM){CKM_EDDSA, NULL, 0};
  CK_ULONG size = SIGNATURE;
  NEED(token->C_SignInit(worker->session, &mechanism, worker->object) == CKR_OK);
  NEED(token->C_Sign(worker->session, (unsigned char *)data, length, signature, &size) == CKR_OK);
  if (type != EVP_PKEY_EC) return size;
  ECDSA_SIG *pair = ECDSA_SIG_new(); /* r and s, half each, become DER */
  ECDSA_SIG_set0(pair, BN_bin2bn(signature, size / 2, NULL), BN_bin2bn(signature + size / 2, size / 2, NULL));
  unsigned char *end = signature;
  size = i2d_ECDSA_SIG(pair, &end);
  ECDSA_SIG_free(pair);
  return size;
}

/* Signing, with the key in a file or in the token */

static EVP_PKEY_CTX *digest_context(int for_signing) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  NEED(context != NULL && (for_signing ? EVP_PKEY_sign_init(context) : EVP_PKEY_verify_init(context)) > 0);
  if (EVP_PKEY_base_id(key) == EVP_PKEY_RSA) {
    NEED(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0);
    NEED(EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) > 0);
    NEED(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0);
  }
  return context;
}

/* Signs `data`: a digest, or with Ed25519 a message. */
static size_t sign(struct worker *worker, const unsigned char *data, size_t length, unsigned char *signature) {
  int type = EVP_PKEY_base_id(key);
  size_t size = SIGNATURE;
  if (token) {
    size = token_sign(worker, type, data, length, signature);
  } else if (type == EVP_PKEY_ED25519) {
    NEED(EVP_DigestSignInit(worker->message, NULL, NULL, NULL, key) > 0);
    NEED(EVP_DigestSign(worker->message, signature, &size, data, length) > 0);
  } else {
    NEED(EVP_PKEY_sign(worker->signing, signature, &size, data, length) > 0);
  }
  if (!options.verify) return size;
  if (type == EVP_PKEY_ED25519) {
    NEED(EVP_DigestVerifyInit(worker->message, NULL, NULL, NULL, key) > 0);
    NEED(EVP_DigestVerify(worker->message, signature, size, data, length) > 0);
  } else {
    NEED(EVP_PKEY_verify(worker->verifying, signature, size, data, length) > 0);
  }
  return size;
}

/* The management interface */

static void answer(struct worker *worker, int fd, char *text) {
  unsigned char data[LINE], digest[SHA256_DIGEST_LENGTH], signature[SIGNATURE], base64[2 * SIGNATURE];
  char *algorithm = strchr(text, ',');
  NEED(algorithm != NULL);
  *algorithm++ = 0;
  size_t digits = strlen(text);
  int length = EVP_DecodeBlock(data, (unsigned char *)text, digits);
  NEED(length > 0);
  while (digits > 0 && text[--digits] == '=') length--;
  size_t size;
  if (strstr(algorithm, "data=message") && EVP_PKEY_base_id(key) != EVP_PKEY_ED25519)
    size = sign(worker, SHA256(data, length, digest), sizeof digest, signature);
  else
    size = sign(worker, data, length, signature);
  size_t coded = EVP_EncodeBlock(base64, signature, size);
  char block[4 * SIGNATURE] = "pk-sig\n";
  char *end = block + 7;
  for (size_t at = 0; at < coded; at += 64) {
    size_t part = coded - at < 64 ? coded - at : 64;
    end = mempcpy(end, base64 + at, part);
    *end++ = '\n';
  }
  end = mempcpy(end, "END\n", 4);
  NEED(write(fd, block, end - block) == end - block);
}

/* False when the daemon has gone. */
static int hear(struct worker *worker, struct connection *connection) {
  ssize_t got = read(connection->fd, connection->line + connection->filled, LINE - connection->filled);
  if (got <= 0) return 0;
  connection->filled += got;
  char *line = connection->line, *stop = connection->line + connection->filled, *end;
  while ((end = memchr(line, '\n', stop - line)) != NULL) {
    *end = 0;
    if (end > line && end[-1] == '\r') end[-1] = 0;
    if (!strncmp(line, ">PK_SIGN:", 9)) answer(worker, connection->fd, line + 9);
    line = end + 1;
  }
  connection->filled = stop - line;
  memmove(connection->line, line, connection->filled);
  return 1;
}

static void *serve(void *argument) {
  struct worker *worker = argument;
  struct epoll_event events[64];
  for (;;) {
    int count = epoll_wait(worker->epoll, events, 64, -1);
    for (int at = 0; at < count; at++) {
      struct connection *connection = events[at].data.ptr;
      if (hear(worker, connection)) continue;
      close(connection->fd);
      free(connection);
      if (options.connect) exit(0);
    }
  }
  return NULL;
}

static void adopt(struct worker *worker, int fd) {
  struct connection *connection = calloc(1, sizeof *connection);
  connection->fd = fd;
  NEED(write(fd, "version 3\n", 10) == 10);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  NEED(epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void *start(void *argument) {
  struct worker *worker = argument;
  serve(worker);
  return NULL;
}

static void prepare(struct worker *worker, int first) {
  if (options.module) {
    open_session(worker, first);
  } else if (EVP_PKEY_base_id(key) != EVP_PKEY_ED25519) {
    worker->signing = digest_context(1);
  }
  if (options.verify && EVP_PKEY_base_id(key) != EVP_PKEY_ED25519) worker->verifying = digest_context(0);
  worker->message = EVP_MD_CTX_new();
  worker->epoll = epoll_create1(0);
}

static int parse(int count, char **words) {
  static const struct option long_options[] = {
      {"verify", no_argument, NULL, 'v'},          {"threads", required_argument, NULL, 't'},
      {"connect", required_argument, NULL, 'c'},   {"listen", required_argument, NULL, 'l'},
      {"key", required_argument, NULL, 'k'},       {"module", required_argument, NULL, 'm'},
      {"token", required_argument, NULL, 'T'},     {"pin-file", required_argument, NULL, 'p'},
      {"object", required_argument, NULL, 'o'},    {"public", required_argument, NULL, 'P'},
      {NULL, 0, NULL, 0},
  };
  for (int option; (option = getopt_long(count, words, "", long_options, NULL)) != -1;) {
    switch (option) {
      case 'v': options.verify = 1; break;
      case 't': options.threads = atoi(optarg); break;
      case 'c': options.connect = optarg; break;
      case 'l': options.listen = optarg; break;
      case 'k': options.key = optarg; break;
      case 'm': options.module = optarg; break;
      case 'T': options.token = optarg; break;
      case 'p': options.pin_file = optarg; break;
      case 'o': options.object = optarg; break;
      case 'P': options.public = optarg; break;
      default: return 0;
    }
  }
  int in_token = options.module && options.token && options.pin_file && options.object && options.public;
  return (in_token || options.key) && (options.connect || options.listen) && options.threads > 0;
}

int main(int count, char **words) {
  if (!parse(count, words)) {
    fprintf(stderr, "agent: see the head of agent.c\n");
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  FILE *file = fopen(options.key ? options.key : options.public, "r");
  NEED(file != NULL);
  key = options.key ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : PEM_read_PUBKEY(file, NULL, NULL, NULL);
  fclose(file);
  NEED(key != NULL);
  if (options.module) load_module();
  struct worker *workers = calloc(options.threads, sizeof *workers);
  for (int at = 0; at < options.threads; at++) prepare(&workers[at], at == 0);

  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, options.connect ? options.connect : options.listen, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (options.connect) {
    NEED(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    adopt(&workers[0], fd);
    serve(&workers[0]);
  }
  unlink(options.listen);
  NEED(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4096) == 0);
  for (int at = 0; at < options.threads; at++) pthread_create(&workers[at].thread, NULL, start, &workers[at]);
  for (int next = 0;; next++) {
    int connection = accept(fd, NULL, NULL);
    NEED(connection >= 0);
    adopt(&workers[next % options.threads], connection);
  }
}
