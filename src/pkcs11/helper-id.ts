import { isPkcs11Uri, parsePkcs11Uri, type Pkcs11Uri } from './uri.ts';

/** Five fields; of the last the octets in hex. A path that looks so can be told by `./` before it. */
const FORM = /^([^/.~][^/]*)\/([^/]*)\/([^/]*)\/([^/]*)\/((?:[0-9A-Fa-f]{2})+)$/;

/** `\x20` for a blank, as pkcs11-helper writes what is not a printable character, a backslash or a slash. */
function unescape(field: string): string | undefined {
  const octets = field.replace(/\\x([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (/\\(?!x[0-9A-Fa-f]{2})/.test(field)) return undefined;
  return Buffer.from(octets, 'latin1').toString('utf8');
}

/**
 * What pkcs11-helper, and so OpenVPN's `pkcs11-id` and `--show-pkcs11-ids`, call a certificate and its key:
 * `manufacturer/model/serial/label/ID`.
 */
function parseHelperId(text: string): Pkcs11Uri | undefined {
  const [, ...fields] = FORM.exec(text) ?? [];
  const id = fields.pop();
  const [manufacturer, model, serial, token] = fields.map(unescape);
  if (id === undefined || manufacturer === undefined || model === undefined) return undefined;
  if (serial === undefined || token === undefined) return undefined;
  return { token, manufacturer, model, serial, id: Buffer.from(id, 'hex') };
}

/** Whether a text names something in a token: a `pkcs11:` URI, or pkcs11-helper's id. */
export function namesTokenObject(text: string): boolean {
  return isPkcs11Uri(text) || parseHelperId(text) !== undefined;
}

/** What such a text names. @throws AgentError ERR_URI */
export function parseTokenObject(text: string): Pkcs11Uri {
  return parseHelperId(text) ?? parsePkcs11Uri(text);
}
