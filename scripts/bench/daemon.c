/*
 * A scripted OpenVPN, as its management interface sees it: asks for signatures, and takes the time of each answer.
 *
 *   daemon (listen | connect) SOCKET CONNECTIONS REQUESTS-FILE [PROGRAM ARGUMENT...]
 *   daemon time PROGRAM ARGUMENT...
 *   daemon become PROGRAM ARGUMENT...
 *
 * REQUESTS-FILE has what stands behind `>PK_SIGN:`, a request a line. The program is an agent that the daemon starts itself,
 * and ends with its own end; `started PID NS` says when. Says `ready` when all connections are there and the agent has said
 * `version`. Then takes commands from standard input, up to its end:
 *
 *   run CONNECTIONS EACH PAUSE-US   the first so many connections ask so many times each, all at once, each again when it
 *                                   has its answer (and so many microseconds have passed). A line for each answer:
 *                                   CONNECTION REQUEST ASKED-NS ANSWERED-NS BASE64; then `done`
 *   cpu PID...                      what these processes have used so far, each in nanoseconds
 *
 * `daemon time` says how many nanoseconds a program takes from start to end; `daemon become` says the time of day, also in
 * nanoseconds, and becomes the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 4096

#define NEED(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "daemon.c:%d: not so: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
      exit(1); \
    } \
  } while (0)

struct connection {
  int fd, left, request;
  int64_t asked;
  size_t filled;
  char heard[BUFFER + 1];
};

struct answer {
  int connection, request;
  int64_t asked, answered;
  char base64[1024];
};

static struct connection *connections;
static int count;
static char **requests;
static int request_count, next_request;
static struct answer *answers;
static int answer_count;

static int64_t now(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) return -1;
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void say(int fd, const char *text, size_t length) {
  NEED(write(fd, text, length) == (ssize_t)length);
}

static void ask(struct connection *connection) {
  connection->request = next_request++ % request_count;
  const char *line = requests[connection->request];
  size_t length = strlen(line);
  connection->filled = 0;
  connection->left--;
  connection->asked = now(CLOCK_MONOTONIC);
  say(connection->fd, line, length);
}

/* Reads; true when the answer's last line has come. A line of base64 may end in END too. */
static int hear(struct connection *connection) {
  ssize_t got = read(connection->fd, connection->heard + connection->filled, BUFFER - connection->filled);
  NEED(got > 0);
  connection->filled += got;
  connection->heard[connection->filled] = 0;
  return connection->filled >= 5 && !strcmp(connection->heard + connection->filled - 5, "\nEND\n");
}

static void keep(struct connection *connection, int64_t answered) {
  struct answer *answer = &answers[answer_count++];
  answer->connection = connection - connections;
  answer->request = connection->request;
  answer->asked = connection->asked;
  answer->answered = answered;
  char *from = strstr(connection->heard, "pk-sig\n"), *end = connection->heard + connection->filled - 4;
  char *to = answer->base64;
  NEED(from != NULL);
  for (from += 7; from < end; from++)
    if (*from != '\n' && *from != '\r' && to < answer->base64 + sizeof answer->base64 - 1) *to++ = *from;
  *to = 0;
}

static void run(int epoll, int asking, int each, int pause) {
  struct epoll_event events[64];
  NEED(asking <= count);
  free(answers);
  answers = calloc((size_t)asking * each, sizeof *answers);
  answer_count = 0;
  for (int at = 0; at < asking; at++) connections[at].left = each;
  for (int at = 0; at < asking; at++) ask(&connections[at]);
  while (answer_count < asking * each) {
    int ready = epoll_wait(epoll, events, 64, -1);
    for (int at = 0; at < ready; at++) {
      struct connection *connection = events[at].data.ptr;
      if (!hear(connection)) continue;
      keep(connection, now(CLOCK_MONOTONIC));
      static const char done[] = "SUCCESS: pk-sign command succeeded\r\n";
      say(connection->fd, done, sizeof done - 1);
      if (pause > 0) usleep(pause);
      if (connection->left > 0) ask(connection);
    }
  }
  for (int at = 0; at < answer_count; at++) {
    struct answer *answer = &answers[at];
    printf("%d %d %lld %lld %s\n", answer->connection, answer->request, (long long)answer->asked,
           (long long)answer->answered, answer->base64);
  }
  printf("done\n");
}

static void print_cpu(char *pids) {
  for (char *pid = strtok(pids, " \n"); pid != NULL; pid = strtok(NULL, " \n")) {
    clockid_t clock;
    printf("%lld ", clock_getcpuclockid(atoi(pid), &clock) == 0 ? (long long)now(clock) : 0LL);
  }
  printf("\n");
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  NEED(file != NULL);
  char *line = NULL;
  size_t size = 0;
  for (ssize_t length; (length = getline(&line, &size, file)) > 0;) {
    line[length - 1] = 0;
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    NEED(asprintf(&requests[request_count++], ">PK_SIGN:%s\r\n", line) > 0);
  }
  fclose(file);
}

/* A connection that agent and daemon have: accepted, or made as soon as somebody listens. */
static int meet(int listening, struct sockaddr_un *address) {
  if (listening >= 0) return accept(listening, NULL, NULL);
  for (;;) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)address, sizeof *address) == 0) return fd;
    close(fd);
    usleep(500);
  }
}

/* What a program says goes where the daemon's own complaints go. */
static pid_t start(char **words, int64_t *began) {
  *began = now(CLOCK_MONOTONIC);
  pid_t pid = fork();
  NEED(pid >= 0);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execvp(words[0], words);
  NEED(0 && "the program is there");
  return 0;
}

static void agent_gone(int signal) {
  (void)signal;
  static const char text[] = "daemon.c: the agent ended\n";
  if (write(STDERR_FILENO, text, sizeof text - 1) >= 0) _exit(1);
}

static int time_program(char **words) {
  int64_t began;
  int status;
  pid_t pid = start(words, &began);
  NEED(waitpid(pid, &status, 0) == pid && status == 0);
  printf("%lld\n", (long long)(now(CLOCK_MONOTONIC) - began));
  return 0;
}

static int become(char **words) {
  printf("%lld\n", (long long)now(CLOCK_REALTIME));
  fflush(stdout);
  execvp(words[0], words);
  NEED(0 && "the program is there");
  return 1;
}

int main(int words, char **word) {
  if (words > 2 && !strcmp(word[1], "time")) return time_program(word + 2);
  if (words > 2 && !strcmp(word[1], "become")) return become(word + 2);
  NEED(words >= 5);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  count = atoi(word[3]);
  read_requests(word[4]);
  connections = calloc(count, sizeof *connections);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, word[2], sizeof address.sun_path - 1);
  int listening = -1;
  if (!strcmp(word[1], "listen")) {
    listening = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(bind(listening, (struct sockaddr *)&address, sizeof address) == 0 && listen(listening, 4096) == 0);
  }
  printf("listening\n");
  fflush(stdout);
  pid_t agent = 0;
  if (words > 5) {
    int64_t began;
    signal(SIGCHLD, agent_gone);
    agent = start(word + 5, &began);
    printf("started %d %lld\n", agent, (long long)began);
    fflush(stdout);
  }
  int epoll = epoll_create1(0);
  for (int at = 0; at < count; at++) {
    static const char greeting[] = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
    struct connection *connection = &connections[at];
    NEED((connection->fd = meet(listening, &address)) >= 0);
    say(connection->fd, greeting, sizeof greeting - 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0);
  }
  for (int at = 0; at < count; at++) {
    connections[at].filled = 0;
    while (hear(&connections[at]), strstr(connections[at].heard, "version 3\n") == NULL) continue;
  }
  printf("ready\n");
  fflush(stdout);

  char line[1024];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int asking, each, pause;
    if (sscanf(line, "run %d %d %d", &asking, &each, &pause) == 3) run(epoll, asking, each, pause);
    else if (!strncmp(line, "cpu ", 4)) print_cpu(line + 4);
    else NEED(0 && "a known command");
    fflush(stdout);
  }
  signal(SIGCHLD, SIG_DFL);
  if (agent > 0 && kill(agent, SIGTERM) == 0) waitpid(agent, NULL, 0);
}
