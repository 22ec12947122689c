// A virtual PIV smart card for vpcd (Debian's vsmartcard-vpcd), without dependencies:
//
//   node piv-card.mjs FOLDER PIN [PORT]
//
// FOLDER holds 9a.pem and 9a.crt, 9c…, 9d…, 9e… (any of them), and `tries`, which stands for what a real card keeps when
// it is pulled. 9c wants VERIFY right before each signature, 9e no PIN. Killing this process removes the card, a start
// inserts it. SIGUSR1: the next private key operation fails (6F00). SIGUSR2: the card goes away in the middle of it.
// SLOW=MS in the environment: each APDU takes so long.
import { execFileSync } from 'node:child_process';
import { constants, createHash, createPrivateKey, privateEncrypt, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const [folder, pinText, port = '35963'] = process.argv.slice(2);
const PIN = Buffer.from(pinText.padEnd(8, '\xff'), 'latin1');
const MAX_TRIES = 3;
// a YubiKey 5's: OpenSC offers EC keys only of cards that it knows
const ATR = Buffer.from('3bfd1300008131fe158073c021c057597562694b657940', 'hex');
const PIV_AID = 'a00000030800001000';

function tlv(tag, value) {
  const { length } = value;
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(tag, 'hex'), Buffer.from(lengthBytes), value]);
}

function parseTlvs(bytes) {
  const values = {};
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++];
    let length = bytes[at++];
    if (length === 0x81) length = bytes[at++];
    else if (length === 0x82) {
      length = bytes.readUInt16BE(at);
      at += 2;
    }
    values[tag] = bytes.subarray(at, at + length);
    at += length;
  }
  return values;
}

// NIST SP 800-73-4, part 1: the card holder's identifier (CHUID), and a certificate for each key
const objects = {
  '5fc102': Buffer.concat([
    tlv('30', Buffer.from('d4e739da739ced39ce739d836858210842108421c84210c3eb', 'hex')),
    tlv('34', createHash('md5').update(folder).digest()),
    tlv('35', Buffer.from('20401231')),
    tlv('3e', Buffer.alloc(0)),
    tlv('fe', Buffer.alloc(0)),
  ]),
};
const keys = {};
for (const [reference, object] of [
  ['9a', '5fc105'],
  ['9c', '5fc10a'],
  ['9d', '5fc10b'],
  ['9e', '5fc101'],
]) {
  const file = join(folder, `${reference}.pem`);
  if (!existsSync(file)) continue;
  const { raw } = new X509Certificate(readFileSync(join(folder, `${reference}.crt`)));
  keys[Number.parseInt(reference, 16)] = { key: createPrivateKey(readFileSync(file)), file };
  objects[object] = Buffer.concat([tlv('70', raw), tlv('71', Buffer.from([0])), tlv('fe', Buffer.alloc(0))]);
}

const triesFile = join(folder, 'tries');
const tries = () => (existsSync(triesFile) ? Number(readFileSync(triesFile, 'utf8')) : MAX_TRIES);
const setTries = (number) => writeFileSync(triesFile, `${number}`);

let verified = false;
/** The PIN came right before: what 9c insists on. */
let fresh = false;
let chain = Buffer.alloc(0);
let rest = Buffer.alloc(0);
let failNext = false;
let dropNext = false;
process.on('SIGUSR1', () => (failNext = true));
process.on('SIGUSR2', () => (dropNext = true));

function reset() {
  verified = fresh = false;
  chain = rest = Buffer.alloc(0);
}

const status = (word, data = Buffer.alloc(0)) => Buffer.concat([data, Buffer.from([word >> 8, word & 0xff])]);
const triesStatus = () => (tries() > 0 ? status(0x63c0 | tries()) : status(0x6983));

function reply(data, expected = 256) {
  if (data.length <= expected) return status(0x9000, data);
  rest = data.subarray(expected);
  return status(0x6100 | (rest.length > 255 ? 0 : rest.length), data.subarray(0, expected));
}

/** A command's data and the length that its answer may have (ISO 7816-4 section 5.1, short and extended). */
function dataOf(message) {
  if (message.length === 5) return { data: Buffer.alloc(0), expected: message[4] || 256 };
  if (message.length > 5 && message[4] !== 0) {
    const end = 5 + message[4];
    return { data: message.subarray(5, end), ...(message.length > end && { expected: message[end] || 256 }) };
  }
  if (message.length > 7) {
    const end = 7 + message.readUInt16BE(5);
    return { data: message.subarray(7, end), ...(message.length > end && { expected: 65536 }) };
  }
  return { data: Buffer.alloc(0) };
}

function select(data, expected) {
  const aid = data.toString('hex');
  if (data.length < 5 || !(aid.startsWith(PIV_AID) || PIV_AID.startsWith(aid))) return status(0x6a82);
  const application = Buffer.concat([
    tlv('4f', Buffer.from('000010000100', 'hex')),
    tlv('79', tlv('4f', Buffer.from('a000000308', 'hex'))),
  ]);
  return reply(tlv('61', application), expected);
}

function verifyPin(p1, p2, data) {
  if (p2 !== 0x80) return status(0x6a88);
  if (p1 === 0xff) {
    verified = false;
    return status(0x9000);
  }
  if (data.length === 0) return verified ? status(0x9000) : triesStatus();
  if (tries() === 0) return status(0x6983);
  verified = fresh = data.equals(PIN);
  setTries(verified ? MAX_TRIES : tries() - 1);
  return verified ? status(0x9000) : triesStatus();
}

function authenticate(reference, data, expected) {
  const entry = keys[reference];
  if (!entry) return status(0x6a88);
  if (reference === 0x9c ? !fresh : reference !== 0x9e && !verified) return status(0x6982);
  fresh = false;
  if (failNext) {
    failNext = false;
    return status(0x6f00);
  }
  if (dropNext) process.exit(0);
  const template = parseTlvs(parseTlvs(data)[0x7c] ?? Buffer.alloc(0));
  const challenge = template[0x81] ?? template[0x85];
  if (!challenge) return status(0x6a80);
  const signature =
    entry.key.asymmetricKeyType === 'rsa'
      ? privateEncrypt({ key: entry.key, padding: constants.RSA_NO_PADDING }, challenge)
      : // node:crypto signs no ready digest
        execFileSync('openssl', ['pkeyutl', '-sign', '-inkey', entry.file], { input: challenge });
  return reply(tlv('7c', tlv('82', signature)), expected);
}

function answer(message) {
  const [cla, ins, p1, p2] = message;
  const { data: part, expected } = dataOf(message);
  if (cla & 0x10) {
    chain = Buffer.concat([chain, part]);
    return status(0x9000);
  }
  const data = Buffer.concat([chain, part]);
  chain = Buffer.alloc(0);
  if (![0x87, 0x20, 0xc0].includes(ins)) fresh = false;
  switch (ins) {
    case 0xa4:
      return p1 === 4 ? select(data, expected) : status(0x6a82);
    case 0xcb: {
      const object = objects[(parseTlvs(data)[0x5c] ?? Buffer.alloc(0)).toString('hex')];
      return object ? reply(tlv('53', object), expected) : status(0x6a82);
    }
    case 0xc0: {
      const more = rest;
      rest = Buffer.alloc(0);
      return reply(more, expected);
    }
    case 0x20:
      return verifyPin(p1, p2, data);
    case 0x87:
      return authenticate(p2, data, expected);
    case 0xfd: // YubiKey's version: below 5.3 it has no GET METADATA
      return reply(Buffer.from([5, 2, 7]), expected);
    case 0xf8: // YubiKey's serial number
      return reply(Buffer.from('00bc614e', 'hex'), expected);
    default:
      return status(0x6d00);
  }
}

// vpcd's protocol: messages with a length before them; those of one byte are the reader's own
const socket = connect(Number(port), '127.0.0.1');
const send = (bytes) => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  socket.write(Buffer.concat([length, bytes]));
};
const slow = Number(process.env.SLOW ?? 0);
let received = Buffer.alloc(0);
socket.on('connect', () => console.log('inserted'));
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on('close', () => process.exit(0));
socket.on('data', (chunk) => {
  received = Buffer.concat([received, chunk]);
  while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
    const message = received.subarray(2, 2 + received.readUInt16BE(0));
    received = received.subarray(2 + message.length);
    if (message.length !== 1) {
      const bytes = answer(message);
      if (slow > 0) setTimeout(send, slow, bytes);
      else send(bytes);
    } else if (message[0] === 4) send(ATR);
    else reset();
  }
});
