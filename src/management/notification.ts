/** A real-time message of the daemon (management-notes): a line that starts with '>'. */
export type Notification =
  /** Something to sign. `algorithm` is undefined where the daemon names none; which command answers it is `answer`. */
  | { readonly type: 'SIGN'; readonly answer: 'pk-sig' | 'rsa-sig'; readonly data: string; readonly algorithm?: string }
  /** A request that the daemon cut off at its line buffer: it can't be signed, and must be answered all the same. */
  | { readonly type: 'SIGN_TRUNCATED'; readonly answer: 'pk-sig' | 'rsa-sig'; readonly length: number }
  | { readonly type: 'HOLD'; readonly text: string }
  | { readonly type: 'NEED-CERTIFICATE'; readonly hint: string }
  | { readonly type: 'PASSWORD'; readonly text: string }
  | { readonly type: 'FATAL'; readonly text: string }
  | { readonly type: 'INFO'; readonly text: string }
  /** All others, as they came. */
  | { readonly type: 'OTHER'; readonly name: string; readonly text: string };

function signRequest(answer: 'pk-sig' | 'rsa-sig', text: string): Notification {
  const comma = text.indexOf(',');
  if (comma < 0) return { type: 'SIGN', answer, data: text };
  return { type: 'SIGN', answer, data: text.slice(0, comma), algorithm: text.slice(comma + 1) };
}

/** Parses a notification; undefined for a line that is none (a reply's). */
export function parseNotification(line: string): Notification | undefined {
  const [, name, text = ''] = /^>([A-Z0-9_-]+):(.*)$/s.exec(line) ?? [];
  switch (name) {
    case undefined:
      return undefined;
    case 'PK_SIGN':
      return signRequest('pk-sig', text);
    case 'RSA_SIGN':
      return signRequest('rsa-sig', text);
    case 'NEED-CERTIFICATE':
      return { type: name, hint: text };
    case 'HOLD':
    case 'PASSWORD':
    case 'FATAL':
    case 'INFO':
      return { type: name, text };
    default:
      return { type: 'OTHER', name, text };
  }
}
