import { dayOf } from '../certificates/dates.ts';
import type { SigningRow } from '../pkcs11/index.ts';
import { printable } from '../telemetry/printable.ts';
import type { CertificateEntry, KeyEntry, KeysDocument, ModuleEntry, TokenEntry } from './keys-document.ts';

const SCHEMES: Readonly<Record<SigningRow['scheme'], string>> = {
  RSA_PKCS1_PADDING: 'PKCS #1',
  RSA_PKCS1_PSS_PADDING: 'PSS',
  RSA_NO_PADDING: 'padded block',
  ECDSA: 'ECDSA',
  ED25519: 'Ed25519',
  ED448: 'Ed448',
};

/** `PSS (TLS 1.2 and 1.3; argument 'digest')`: the argument only where other requests of the scheme are not in the row. */
function requestText({ scheme, use, arguments: words }: SigningRow): string {
  const argument = words.includes('') ? '' : `; argument ${words.map((word) => `'${word}'`).join(', ')}`;
  return `${SCHEMES[scheme]} (${use.join(', ')}${argument})`;
}

function wayText({ ways, remedy }: SigningRow): string {
  const texts = ways.map(({ software, mechanism, hashes }) => {
    const text = software === undefined ? mechanism : `${software} in software + ${mechanism}`;
    return hashes.length > 0 ? `${text} for ${hashes.join(', ')}` : text;
  });
  if (remedy !== undefined || ways.length === 0) texts.push(remedy === undefined ? '–' : `– ${remedy}`);
  return texts.join('; ');
}

function certificateText({ subject, issuer, notBefore, notAfter, validity }: CertificateEntry): string {
  const [from, to] = [dayOf(notBefore ?? ''), dayOf(notAfter ?? '')];
  const dates = {
    valid: `valid until ${to}`,
    expired: `EXPIRED on ${to}`,
    'not yet valid': `NOT VALID before ${from}, then until ${to}`,
    unreadable: "NOT VALID: its dates can't be read",
  }[validity];
  return `certificate ${subject || 'without a subject'}, issued by ${issuer || 'nobody'}, ${dates}`;
}

const PRIVATE_KEY: Readonly<Record<KeyEntry['privateKey'], string>> = {
  present: '',
  unseen: ' (needs login to be certain: its private key is not visible without)',
  absent: ' (no private key)',
};

/** A percent sign begins something of systemd's own in its units, and there is written twice. */
function inUnit(uri: string): string[] {
  return uri.includes('%') ? [`      in a systemd unit: '${uri.replaceAll('%', '%%')}'`] : [];
}

function keyLines(key: KeyEntry): string[] {
  const { uri, label, id, privateKey, kind, unusable, alwaysAuthenticate, certificates, signs } = key;
  const names = [kind ?? 'key', label === '' ? 'without a label' : `'${label}'`, ...(id === '' ? [] : [`id ${id}`])];
  const rows = signs.map((row) => [requestText(row), wayText(row)] as const);
  const width = Math.max(0, ...rows.map(([request]) => request.length));
  return [
    `    ${names.join(' ')}${PRIVATE_KEY[privateKey]}`,
    `      '${uri}'`,
    ...inUnit(uri),
    ...(unusable === undefined ? [] : [`      not usable: ${unusable}`]),
    ...(alwaysAuthenticate === true ? ['      wants the PIN with each signature'] : []),
    ...certificates.map((certificate) => `      ${certificateText(certificate)}`),
    ...rows.map(([request, way]) => `      ${request.padEnd(width)}  ${way}`),
  ];
}

function loginText({ login, pin, keypad }: TokenEntry): string {
  const words = { 'not needed': 'no login needed', needed: 'login needed', done: 'logged in' }[login];
  const state = { ok: '', 'few tries left': 'few tries left', 'one try left': 'ONE TRY LEFT', locked: 'LOCKED' }[pin];
  return [words, ...(keypad ? ['by its keypad'] : []), ...(state === '' ? [] : [`PIN: ${state}`])].join(', ');
}

function tokenLines(token: TokenEntry): string[] {
  const { label, manufacturer, model, serial, keys, error } = token;
  const origin = [manufacturer, model, ...(serial === '' ? [] : [`serial ${serial}`])].filter((text) => text !== '');
  return [
    `  token '${label}' (${origin.join(', ')}): ${loginText(token)}`,
    ...(error ? [`    ${error.message}`] : keys.length === 0 ? ['    no key that is visible'] : []),
    ...keys.flatMap(keyLines),
  ];
}

function moduleLines({ path, name, tokens, error }: ModuleEntry): string[] {
  return [
    `module ${name === undefined ? path : `${name} (${path})`}`,
    ...(error ? [`  ${error.message}`] : tokens.length === 0 ? ['  no token'] : []),
    ...tokens.flatMap(tokenLines),
  ];
}

const NOTE = 'How keys sign is what their modules list, and some do more; `pksigd check` tries it.';

/** What `pksigd keys` prints for people. */
export function keysText({ modules }: KeysDocument): string {
  const lines = modules.flatMap(moduleLines);
  const signs = modules.some(({ tokens }) => tokens.some(({ keys }) => keys.some((key) => key.signs.length > 0)));
  return [...lines.map(printable), ...(signs ? [NOTE] : []), ''].join('\n');
}
