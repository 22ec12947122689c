import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SYSTEM_CLOCK } from './clock.ts';
import { AgentError, errorText, type AgentErrorCode } from './errors.ts';
import { withoutPinAttributes } from './secret.ts';

/** How a file that somebody named may be read. */
export interface ReadLimits {
  /** For errors: `the certificate`. */
  readonly what: string;
  /** The code of every error. */
  readonly code: AgentErrorCode;
  /** But of a file that is not there, and may come: see {@link mayCome}. */
  readonly absent?: AgentErrorCode;
  readonly maxBytes: number;
  /** Looks at the open file's status before anything is read; throws to refuse it. */
  readonly inspect?: (status: Stats) => void;
  /** Milliseconds until a pipe must have said everything. */
  readonly pipeTimeout?: number;
}

const CHUNK = 64 * 1024;
/** Whoever writes into a pipe (`--cert <(openssl …)`) may be a program that has to start first. */
const PIPE_TIMEOUT = 10_000;
/** Milliseconds between looks into a pipe. */
const PIPE_INTERVAL = 20;

/** Codes of errno for a file that is not there yet: its folder, its server, free descriptors. */
const MAY_COME = new Set(['ENOENT', 'ENOTDIR', 'ESTALE', 'EIO', 'ENXIO', 'ETIMEDOUT', 'EHOSTDOWN', 'EMFILE', 'ENFILE']);

/** Whether what {@link readFileLimited} threw may pass by itself: the file is not there, and may come. */
export function mayCome(error: unknown): error is Error {
  return error instanceof Error && MAY_COME.has(codeOf(error.cause));
}

function codeOf(cause: unknown): string {
  return ((cause ?? {}) as NodeJS.ErrnoException).code ?? '';
}

/**
 * Reads a file that a user, a configuration or a URI named: a regular file, or a pipe (a shell's `<(…)`). Directories and
 * devices are refused, a file that is too long as well; a pipe has a deadline. The buffer is the caller's to zero.
 * @throws AgentError with the given codes
 */
export async function readFileLimited(path: string, limits: ReadLimits): Promise<Buffer> {
  const { what, code, absent = code } = limits;
  const refuse = (cause: unknown): never => {
    if (cause instanceof AgentError) throw cause;
    // a mistyped pkcs11: URI is taken for a file's name
    const text = `can't read ${what}: ${withoutPinAttributes(errorText(cause))}`;
    throw new AgentError(MAY_COME.has(codeOf(cause)) ? absent : code, text, { cause });
  };
  // a pipe that nobody writes to must not keep us: no open waits, no read does
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(refuse);
  try {
    // of the open file, not of the path: nobody can swap it in between
    const status = await file.stat();
    const kind = kindOf(status);
    if (kind !== 'file' && kind !== 'pipe') throw new Error(`${path} is a ${kind}`);
    limits.inspect?.(status);
    return await readAll(file, path, kind === 'pipe', limits);
  } catch (error) {
    return refuse(error);
  } finally {
    await file.close();
  }
}

function kindOf(status: Stats): string {
  if (status.isFile()) return 'file';
  if (status.isFIFO()) return 'pipe';
  return status.isDirectory() ? 'directory' : 'device';
}

async function readAll(file: FileHandle, path: string, isPipe: boolean, limits: ReadLimits): Promise<Buffer> {
  const { maxBytes, pipeTimeout = PIPE_TIMEOUT } = limits;
  const chunks: Buffer[] = [];
  const end = SYSTEM_CLOCK.now() + pipeTimeout;
  try {
    for (let length = 0; ; ) {
      const chunk = Buffer.alloc(Math.min(CHUNK, maxBytes + 1 - length));
      const bytesRead = await readSome(file, chunk);
      // a pipe is at its end only once somebody has written into it
      if (bytesRead === undefined || (bytesRead === 0 && isPipe && length === 0)) {
        if (SYSTEM_CLOCK.now() > end)
          throw new Error(`nothing more came through the pipe ${path} in ${pipeTimeout / 1000} s`);
        await sleep(PIPE_INTERVAL);
        continue;
      }
      if (bytesRead === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, bytesRead));
      length += bytesRead;
      if (length > maxBytes) throw new Error(`${path} has more than ${maxBytes} bytes`);
    }
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}

/** @returns undefined if a pipe's writer has nothing to say for the moment */
async function readSome(file: FileHandle, chunk: Buffer): Promise<number | undefined> {
  try {
    return (await file.read(chunk)).bytesRead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}
