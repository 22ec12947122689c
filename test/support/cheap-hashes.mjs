// For unit tests, and for each mutant's anew: hashes of PINs whose cost is the least one. They are most of what tests of PINs take;
// those of the built command have the real ones.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const { scrypt } = crypto;
crypto.scrypt = (secret, salt, length, ...rest) => scrypt(secret, salt, length, { N: 2 }, rest.at(-1));
syncBuiltinESMExports();
