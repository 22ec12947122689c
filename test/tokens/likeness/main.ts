// Makes a script's calls of a real module: in a process of its own, since SoftHSM shares OpenSSL with Node, and leaves it in disorder.
import { createPublicKey } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { Calls } from './calls.ts';
import { SCRIPTS } from './scripts.ts';

const [path = '', name = '', spki = ''] = process.argv.slice(2);
const script = SCRIPTS.find((each) => each.name === name);
if (!script) throw new Error(`no script ${name}`);
const publicKey = createPublicKey(spki);
const module = new pkcs11js.PKCS11();
module.load(path);
const calls = new Calls({ module, publicKey });
script.make(calls);
process.stdout.write(JSON.stringify(calls.transcript));
