import { cut, readCount } from '../wire/fields.ts';

/** The HTTP proxy that a web authentication goes through (management-notes "webauth with proxy"). */
export interface WebAuthProxy {
  /** IPv4 address, or IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

/** What a server tells its client while authentication is pending: the EXTRA of `client-pending-auth`. */
export type InfoMessage =
  | {
      readonly kind: 'WEB_AUTH';
      /** `hidden`, `external`…; the proxy stands apart. */
      readonly flags: readonly string[];
      readonly proxy: WebAuthProxy | undefined;
      readonly url: string;
    }
  /** Deprecated by OpenVPN in favour of WEB_AUTH. */
  | { readonly kind: 'OPEN_URL'; readonly url: string }
  /** A challenge to answer with `cr-response`. */
  | {
      readonly kind: 'CR_TEXT';
      /** Show what the user types (flag `E`). */
      readonly echo: boolean;
      /** An answer must be given (flag `R`). */
      readonly responseRequired: boolean;
      readonly text: string;
    }
  /** Anything else, as it came. */
  | { readonly kind: 'OTHER'; readonly text: string };

/** Reads the text of an `>INFOMSG:` notification (management-notes "COMMAND -- client-pending-auth"). */
export function parseInfoMessage(text: string): InfoMessage {
  return parseWebAuth(text) ?? parseOpenUrl(text) ?? parseChallengeText(text) ?? { kind: 'OTHER', text };
}

/** The inverse of {@link parseInfoMessage}: also what {@link ManagementClient.clientPendingAuth} takes as its EXTRA. */
export function encodeInfoMessage(message: InfoMessage): string {
  switch (message.kind) {
    case 'WEB_AUTH': {
      const proxy = message.proxy === undefined ? [] : [encodeProxy(message.proxy)];
      return `WEB_AUTH:${[...proxy, ...message.flags].join(',')}:${message.url}`;
    }
    case 'OPEN_URL':
      return `OPEN_URL:${message.url}`;
    case 'CR_TEXT': {
      const flags = [...(message.echo ? ['E'] : []), ...(message.responseRequired ? ['R'] : [])];
      return `CR_TEXT:${flags.join(',')}:${message.text}`;
    }
    case 'OTHER':
      return message.text;
  }
}

function parseWebAuth(text: string): InfoMessage | undefined {
  if (!text.startsWith('WEB_AUTH:')) return undefined;
  const rest = text.slice('WEB_AUTH:'.length);
  // an IPv6 proxy brings colons of its own, in brackets
  const match = /^((?:[^:[\]]|\[[^\]]*\])*):(.*)$/s.exec(rest);
  const [, flagText, url] = match ?? [];
  if (flagText === undefined || url === undefined) return undefined;
  const flags: string[] = [];
  let proxy: WebAuthProxy | undefined;
  for (const flag of flagText === '' ? [] : flagText.split(',')) {
    if (flag.startsWith('proxy=') && proxy === undefined) {
      proxy = parseProxy(flag.slice('proxy='.length));
      if (proxy === undefined) return undefined;
    } else {
      flags.push(flag);
    }
  }
  return { kind: 'WEB_AUTH', flags, proxy, url };
}

function parseOpenUrl(text: string): InfoMessage | undefined {
  return text.startsWith('OPEN_URL:') ? { kind: 'OPEN_URL', url: text.slice('OPEN_URL:'.length) } : undefined;
}

function parseChallengeText(text: string): InfoMessage | undefined {
  if (!text.startsWith('CR_TEXT:')) return undefined;
  const halves = cut(text.slice('CR_TEXT:'.length), ':');
  if (halves === undefined) return undefined;
  const flags = halves[0].split(',');
  return { kind: 'CR_TEXT', echo: flags.includes('E'), responseRequired: flags.includes('R'), text: halves[1] };
}

function parseProxy(text: string): WebAuthProxy | undefined {
  const [host, portText, user, password, ...more] = text.split(';');
  const port = readCount(portText);
  if (host === undefined || port === undefined || more.length > 0) return undefined;
  // brackets stand around an IPv6 address, and nowhere else
  if (/[[\]]/.test(host.replace(/^\[(.*)\]$/, '$1'))) return undefined;
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port,
    user: fromBase64(user),
    password: fromBase64(password),
  };
}

/** Undefined for nothing, however it is written. */
function fromBase64(text = ''): string | undefined {
  return Buffer.from(text, 'base64').toString() || undefined;
}

function encodeProxy(proxy: WebAuthProxy): string {
  const host = proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host;
  const base64 = (text: string | undefined): string => Buffer.from(text ?? '').toString('base64');
  return `proxy=${host};${proxy.port};${base64(proxy.user)};${base64(proxy.password)}`;
}
