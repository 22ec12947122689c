/** Keys behind programs. For keys and check, which come in by this door only. */
export { ExecKey, type SecretGuard } from './exec-key.ts';
export { execTextFrom, formatExecText, isExecText, parseExecText } from './exec-text.ts';
export { Programs, type ProgramsOptions } from './programs.ts';
export type { ProgramEvent } from './program.ts';
export type { Signed } from './protocol.ts';
