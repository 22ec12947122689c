// In place of pkcs11js.
import { PKCS11 } from '../module.ts';

const pkcs11js: { PKCS11: typeof PKCS11; CK_PARAMS_RSA_PSS: number } = { PKCS11, CK_PARAMS_RSA_PSS: 4 };
export default pkcs11js;
