/*
 * A PKCS#11 module that does what it is told to before it calls the real one.
 *
 *   FAULT_MODULE  the real module
 *   FAULT_RULES   a file that is read before each call, a rule a line (setup/fault.ts writes it):
 *                   FUNCTION id=N [n=TIMES] [skip=CALLS] [mech=0xM] [rv=0xR] [ms=MS] [grow=MIB] [hang] [crash]
 *                            [print=TEXT] [late] [set=0xFLAGS] [clear=0xFLAGS] [hide=0xA,0xB,...]
 *                            [endless] [counted] [sessions=N] [exit] [pipe=HEX] [shut] [flip]
 *                 pipe: bytes that it writes into the host's pipe to the agent; shut: it closes that pipe. flip: a bit of a signature.
 *                 late: the real function is called first, and its answer dropped. n and skip count calls over all processes (marker files next to the rules); without n: for ever.
 *                 set, clear: flags of C_GetTokenInfo. hide: mechanisms of C_GetMechanismList (C_SignInit then refuses
 *                 them), attributes of C_GetAttributeValue. mech: only while signing with that mechanism.
 *                 sessions: C_OpenSession refuses what goes beyond so many at a time in this process.
 *   FAULT_LOG     a file that gets a line for each call when it returns: "pid FUNCTION 0xRV"
 *   FAULT_LOGINS  a file that gets a line for each C_Login before anything else is done: "pid"
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "pkcs11.h"

#define LINE 512
#define HIDE 32
#define SESSIONS 64

struct rule {
  unsigned long rv, set, clear, mech, hide[HIDE];
  int id, n, skip, ms, grow, hides, hang, crash, late, endless, counted, sessions, exits, shut, flip;
  char print[64], pipe[256];
};

static CK_FUNCTION_LIST *real, mine;
static unsigned long signing; /* the mechanism of the last C_SignInit: the host signs one at a time */

/* Takes one of `count` places that all processes share; false when none is left. */
static int take(const char *kind, int id, int count) {
  char path[512];
  for (int i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s.%d.%s.%d", getenv("FAULT_RULES"), id, kind, i);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) continue;
    close(fd);
    return 1;
  }
  return 0;
}

static struct rule parse(char *words) {
  struct rule r = {.n = -1};
  char *state = NULL;
  for (char *w = strtok_r(words, " \n", &state); w; w = strtok_r(NULL, " \n", &state)) {
    char *eq = strchr(w, '=');
    char *value = eq ? eq + 1 : "";
    if (eq) *eq = 0;
    if (!strcmp(w, "id")) r.id = atoi(value);
    else if (!strcmp(w, "n")) r.n = atoi(value);
    else if (!strcmp(w, "skip")) r.skip = atoi(value);
    else if (!strcmp(w, "sessions")) r.sessions = atoi(value);
    else if (!strcmp(w, "ms")) r.ms = atoi(value);
    else if (!strcmp(w, "grow")) r.grow = atoi(value);
    else if (!strcmp(w, "rv")) r.rv = strtoul(value, NULL, 0);
    else if (!strcmp(w, "mech")) r.mech = strtoul(value, NULL, 0);
    else if (!strcmp(w, "set")) r.set = strtoul(value, NULL, 0);
    else if (!strcmp(w, "clear")) r.clear = strtoul(value, NULL, 0);
    else if (!strcmp(w, "hang")) r.hang = 1;
    else if (!strcmp(w, "crash")) r.crash = 1;
    else if (!strcmp(w, "late")) r.late = 1;
    else if (!strcmp(w, "endless")) r.endless = 1;
    else if (!strcmp(w, "counted")) r.counted = 1;
    else if (!strcmp(w, "exit")) r.exits = 1;
    else if (!strcmp(w, "shut")) r.shut = 1;
    else if (!strcmp(w, "flip")) r.flip = 1;
    else if (!strcmp(w, "pipe")) snprintf(r.pipe, sizeof r.pipe, "%s", value);
    else if (!strcmp(w, "print")) snprintf(r.print, sizeof r.print, "%s", value);
    else if (!strcmp(w, "hide"))
      for (char *end = value; *value && r.hides < HIDE; value = *end ? end + 1 : end)
        r.hide[r.hides++] = strtoul(value, &end, 0);
  }
  return r;
}

/* The first rule that applies to a call of `function` now. */
static int find(const char *function, struct rule *found) {
  const char *path = getenv("FAULT_RULES");
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[LINE];
  int hit = 0;
  if (!file) return 0;
  while (!hit && fgets(line, sizeof line, file)) {
    char *words = strchr(line, ' ');
    if (!words) continue;
    *words++ = 0;
    if (strcmp(line, function)) continue;
    struct rule r = parse(words);
    if (r.mech && r.mech != signing) continue;
    if (r.skip && take("skip", r.id, r.skip)) continue;
    if (r.n >= 0 && !take("hit", r.id, r.n)) continue;
    *found = r;
    hit = 1;
  }
  fclose(file);
  return hit;
}

static void crash(void) {
  /* Node catches nothing here; no core file for a crash that is meant */
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

/* The host's descriptor for frames to the agent. */
#define FRAMES 3

static void garble(const char *hex) {
  unsigned char bytes[sizeof((struct rule *)0)->pipe / 2];
  size_t length = 0;
  for (unsigned byte; sscanf(hex + 2 * length, "%2x", &byte) == 1; length++) bytes[length] = byte;
  if (write(FRAMES, bytes, length) < 0) perror("fault: pipe");
}

/* Does what the rule says before the call; true if the real function is not to be called. */
static int before(const struct rule *r, CK_RV *rv) {
  if (r->print[0]) {
    fprintf(stdout, "%s\n", r->print);
    fflush(stdout);
  }
  if (r->grow) {
    size_t size = (size_t)r->grow << 20;
    volatile char *leak = malloc(size);
    for (size_t at = 0; leak && at < size; at += 1024) leak[at] = 1;
  }
  if (r->pipe[0]) garble(r->pipe);
  if (r->shut) close(FRAMES);
  if (r->ms) usleep(r->ms * 1000);
  if (r->exits) _exit(0);
  if (r->crash) crash();
  while (r->hang) pause();
  *rv = r->rv;
  return r->rv != CKR_OK;
}

static CK_RV logged(const char *function, CK_RV rv) {
  const char *path = getenv("FAULT_LOG");
  char line[80];
  int fd = path ? open(path, O_CREAT | O_APPEND | O_WRONLY, 0600) : -1;
  if (fd < 0) return rv;
  int length = snprintf(line, sizeof line, "%d %s 0x%lx\n", (int)getpid(), function, rv);
  if (write(fd, line, length) < 0) perror("fault: log");
  close(fd);
  return rv;
}

/* A hang or a crash writes nothing behind it. */
static void entered(const char *function) {
  const char *path = getenv("FAULT_LOGINS");
  char line[16];
  if (!path || strcmp(function, "C_Login")) return;
  int fd = open(path, O_CREAT | O_APPEND | O_WRONLY, 0600);
  if (fd < 0) return;
  int length = snprintf(line, sizeof line, "%d\n", (int)getpid());
  if (write(fd, line, length) < 0) perror("fault: logins");
  close(fd);
}

static int hides(const struct rule *r, unsigned long what) {
  for (int i = 0; i < r->hides; i++)
    if (r->hide[i] == what) return 1;
  return 0;
}

#define WRAP(name, parameters, arguments)                                     \
  static CK_RV my_##name parameters {                                         \
    struct rule r = {0};                                                      \
    CK_RV rv, done = CKR_OK;                                                  \
    entered(#name);                                                           \
    int hit = find(#name, &r);                                                \
    if (hit && r.late) done = real->name arguments;                           \
    if (hit && before(&r, &rv)) return logged(#name, rv);                     \
    if (!hit || !r.late) done = real->name arguments;                         \
    return logged(#name, done);                                               \
  }

/* The sessions that are open in this process. */
static CK_SESSION_HANDLE opened[SESSIONS];

static int open_sessions(void) {
  int count = 0;
  CK_SESSION_INFO info;
  for (int i = 0; i < SESSIONS; i++)
    if (opened[i] && real->C_GetSessionInfo(opened[i], &info) == CKR_OK) count++;
    else opened[i] = 0;
  return count;
}

static CK_RV my_C_OpenSession(CK_SLOT_ID s, CK_FLAGS f, CK_VOID_PTR a, CK_NOTIFY c, CK_SESSION_HANDLE_PTR h) {
  struct rule r = {0};
  CK_RV rv;
  if (find("C_OpenSession", &r) && before(&r, &rv)) return logged("C_OpenSession", rv);
  if (r.sessions && open_sessions() >= r.sessions) return logged("C_OpenSession", CKR_SESSION_COUNT);
  rv = real->C_OpenSession(s, f, a, c, h);
  for (int i = 0; rv == CKR_OK && i < SESSIONS; i++)
    if (!opened[i]) {
      opened[i] = *h;
      break;
    }
  return logged("C_OpenSession", rv);
}

WRAP(C_Initialize, (CK_VOID_PTR a), (a))
WRAP(C_Finalize, (CK_VOID_PTR a), (a))
WRAP(C_GetSlotList, (CK_BBOOL t, CK_SLOT_ID_PTR s, CK_ULONG_PTR n), (t, s, n))
WRAP(C_GetSlotInfo, (CK_SLOT_ID s, CK_SLOT_INFO_PTR i), (s, i))
WRAP(C_CloseSession, (CK_SESSION_HANDLE h), (h))
WRAP(C_GetSessionInfo, (CK_SESSION_HANDLE h, CK_SESSION_INFO_PTR i), (h, i))
WRAP(C_Login, (CK_SESSION_HANDLE h, CK_USER_TYPE u, CK_UTF8CHAR_PTR p, CK_ULONG n), (h, u, p, n))
WRAP(C_Logout, (CK_SESSION_HANDLE h), (h))
WRAP(C_GenerateKeyPair,
     (CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_ATTRIBUTE_PTR u, CK_ULONG l,
      CK_OBJECT_HANDLE_PTR a, CK_OBJECT_HANDLE_PTR b),
     (h, m, t, n, u, l, a, b))
WRAP(C_GetInfo, (CK_INFO_PTR i), (i))
WRAP(C_CreateObject, (CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR o), (h, t, n, o))
WRAP(C_DestroyObject, (CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o), (h, o))
WRAP(C_FindObjectsFinal, (CK_SESSION_HANDLE h), (h))
WRAP(C_FindObjectsInit, (CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR t, CK_ULONG n), (h, t, n))

/* endless: what was found last is found again, for ever; counted: with a new handle each time. */
static CK_RV my_C_FindObjects(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE_PTR o, CK_ULONG m, CK_ULONG_PTR n) {
  static CK_OBJECT_HANDLE last, next = 1000000;
  struct rule r = {0};
  CK_RV rv;
  int applies = find("C_FindObjects", &r);
  if (applies && before(&r, &rv)) return logged("C_FindObjects", rv);
  rv = real->C_FindObjects(h, o, m, n);
  if (rv == CKR_OK && *n > 0) last = o[*n - 1];
  if (rv == CKR_OK && *n == 0 && last && m > 0 && (r.endless || r.counted)) {
    *n = r.counted ? m : 1;
    for (CK_ULONG i = 0; i < *n; i++) o[i] = r.counted ? next++ : last;
  }
  return logged("C_FindObjects", rv);
}

static CK_RV my_C_Sign(CK_SESSION_HANDLE h, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR s, CK_ULONG_PTR l) {
  struct rule r = {0};
  CK_RV rv, done = CKR_OK;
  int applies = find("C_Sign", &r);
  if (applies && r.late) done = real->C_Sign(h, d, n, s, l);
  if (applies && before(&r, &rv)) return logged("C_Sign", rv);
  if (!r.late) done = real->C_Sign(h, d, n, s, l);
  if (r.flip && done == CKR_OK && s && *l > 0) s[*l - 1] ^= 1;
  return logged("C_Sign", done);
}

static CK_RV my_C_GetTokenInfo(CK_SLOT_ID s, CK_TOKEN_INFO_PTR i) {
  struct rule r = {0};
  CK_RV rv;
  if (find("C_GetTokenInfo", &r) && before(&r, &rv)) return logged("C_GetTokenInfo", rv);
  rv = real->C_GetTokenInfo(s, i);
  if (rv == CKR_OK) i->flags = (i->flags | r.set) & ~r.clear;
  return logged("C_GetTokenInfo", rv);
}

/* Hidden mechanisms are moved out of the list; asked for its length alone, it may say too much, as PKCS#11 allows. */
static CK_RV my_C_GetMechanismList(CK_SLOT_ID s, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR n) {
  struct rule r = {0};
  CK_RV rv;
  if (find("C_GetMechanismList", &r) && before(&r, &rv)) return logged("C_GetMechanismList", rv);
  rv = real->C_GetMechanismList(s, list, n);
  if (rv == CKR_OK && list) {
    CK_ULONG kept = 0;
    for (CK_ULONG i = 0; i < *n; i++)
      if (!hides(&r, list[i])) list[kept++] = list[i];
    /* pkcs11js takes the first call's length: fill up with what nobody uses */
    for (CK_ULONG i = kept; i < *n; i++) list[i] = CKM_VENDOR_DEFINED;
  }
  return logged("C_GetMechanismList", rv);
}

static CK_RV my_C_GetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR t, CK_ULONG n) {
  struct rule r = {0};
  CK_RV rv;
  if (find("C_GetAttributeValue", &r) && before(&r, &rv)) return logged("C_GetAttributeValue", rv);
  for (CK_ULONG i = 0; i < n; i++)
    if (hides(&r, t[i].type)) {
      t[i].ulValueLen = (CK_ULONG)-1;
      return logged("C_GetAttributeValue", CKR_ATTRIBUTE_TYPE_INVALID);
    }
  return logged("C_GetAttributeValue", real->C_GetAttributeValue(h, o, t, n));
}

static CK_RV my_C_SignInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE k) {
  struct rule r = {0};
  CK_RV rv;
  signing = m->mechanism;
  if (find("C_SignInit", &r) && before(&r, &rv)) return logged("C_SignInit", rv);
  if (find("C_GetMechanismList", &r) && hides(&r, m->mechanism)) return logged("C_SignInit", CKR_MECHANISM_INVALID);
  return logged("C_SignInit", real->C_SignInit(h, m, k));
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
  const char *module = getenv("FAULT_MODULE");
  if (!real) {
    void *library = module ? dlopen(module, RTLD_NOW | RTLD_LOCAL) : NULL;
    CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = library ? dlsym(library, "C_GetFunctionList") : NULL;
    CK_RV rv = get ? get(&real) : CKR_GENERAL_ERROR;
    if (rv != CKR_OK) return rv;
    mine = *real;
#define TAKE(name) mine.name = my_##name;
    TAKE(C_Initialize) TAKE(C_Finalize) TAKE(C_GetSlotList) TAKE(C_GetSlotInfo) TAKE(C_GetTokenInfo)
    TAKE(C_GetMechanismList) TAKE(C_OpenSession) TAKE(C_CloseSession) TAKE(C_GetSessionInfo) TAKE(C_Login) TAKE(C_Logout)
    TAKE(C_FindObjectsInit) TAKE(C_FindObjects) TAKE(C_GetAttributeValue) TAKE(C_SignInit) TAKE(C_Sign)
    TAKE(C_GenerateKeyPair) TAKE(C_GetInfo) TAKE(C_CreateObject) TAKE(C_DestroyObject) TAKE(C_FindObjectsFinal)
    mine.C_GetFunctionList = C_GetFunctionList;
    mine.C_WaitForSlotEvent = NULL; /* not all modules have it: whoever calls it dies */
  }
  *out = &mine;
  return CKR_OK;
}
