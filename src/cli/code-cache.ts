import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';

/** Milliseconds after which what was compiled is written down: whatever a first signature takes has been by then. */
const SETTLED = 10_000;
/** How much more than was kept must have been compiled to be written down anew. */
const MORE = 1.05;
const OTHERS_WRITE = 0o022;
/** Bytes of the checksum at a cache's end. */
const CHECKSUM = 4;

/** A file's bytes, if nobody can have written it who could not have written the program itself; else undefined. */
function readTrusted(path: string, programOwner: number): Buffer | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { uid, mode } = fstatSync(file);
    const isTrusted = (uid === programOwner || uid === 0) && (mode & OTHERS_WRITE) === 0;
    return isTrusted ? readFileSync(file) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function withChecksum(data: Buffer): Buffer {
  const checksum = Buffer.alloc(CHECKSUM);
  checksum.writeUInt32BE(crc32(data));
  return Buffer.concat([data, checksum]);
}

/**
 * What was written, unless a disk or a power cut changed it: V8 looks at the length only, and dies of what it finds, at this
 * start and at each that follows.
 */
function whole(bytes: Buffer | undefined): Buffer | undefined {
  if (bytes === undefined || bytes.length < CHECKSUM) return undefined;
  const data = bytes.subarray(0, -CHECKSUM);
  return crc32(data) === bytes.readUInt32BE(data.length) ? data : undefined;
}

/** Writes a file that is there whole or not at all. It is only a matter of time: no failure is worth a word. */
function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/**
 * Loads a bundle, which V8 need not compile if an earlier run left what it compiled, beside the bundle, as Python does. Whoever
 * owns the program writes it, nobody else: a service whose user does not own the program does without, and so does one on a
 * read-only disk. V8 itself refuses what another Node or another machine wrote.
 *
 * @param path a CommonJS file. Its name is new whenever its content is, so that no old cache is taken for its own
 * @param mayWrite write down what was compiled, if it is more than was kept before
 * @returns what it exports
 */
export function loadProgram(path: string, mayWrite: boolean): unknown {
  const source = readFileSync(path, 'latin1');
  const { uid: owner } = statSync(path);
  const cache = `${path}.${process.version}-${process.arch}`;
  const cachedData = whole(readTrusted(cache, owner));
  const script = new Script(`(function (exports, require, module, __filename) {${source}\n})`, {
    filename: path,
    ...(cachedData && { cachedData }),
  });
  if (mayWrite && process.geteuid?.() === owner) {
    let kept = script.cachedDataRejected === true ? 0 : (cachedData?.length ?? 0);
    const write = (): void => {
      const bytes = script.createCachedData();
      // functions are compiled when they are first called: a run that signed leaves more than one that only waited
      if (bytes.length < kept * MORE) return;
      kept = bytes.length;
      writeWhole(cache, withChecksum(bytes));
    };
    if (kept === 0) setTimeout(write, SETTLED).unref();
    process.on('exit', (status) => {
      if (status === 0) write();
    });
  }
  const module = { exports: {} as unknown };
  const run = script.runInThisContext() as (...scope: unknown[]) => void;
  run(module.exports, createRequire(path), module, path);
  return module.exports;
}
