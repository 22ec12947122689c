/** What a system call throws that fails with this code. */
function errnoError(code: string, call = 'open'): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made to fail, ${call}`), { code, syscall: call });
}

/** Calls on these paths fail, each with its code. */
export const FAILING: Map<string, string> = new Map<string, string>();

/** A call of `node:fs/promises` that fails at those paths. */
export function unlessFailing<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const code = FAILING.get(String(args[0]));
    if (code !== undefined) throw errnoError(code, call.name);
    return await call(...args);
  };
}

/** The same for a call of `node:fs`. */
export function unlessFailingSync<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Result,
): (...args: Args) => Result {
  return (...args) => {
    const code = FAILING.get(String(args[0]));
    if (code !== undefined) throw errnoError(code, call.name);
    return call(...args);
  };
}
