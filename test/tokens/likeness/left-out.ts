/** Where the simulated module is to differ from SoftHSM. */
export interface Difference {
  /** The script that shows it. */
  readonly script: string;
  readonly why: string;
  /** What SoftHSM returns, and the simulated module. */
  readonly lines: readonly (readonly [real: string, simulated: string])[];
}

const FLAGS = 'C_GetTokenInfo: ["LOGIN_REQUIRED","USER_PIN_COUNT_LOW"]';

export const DIFFERENCES: readonly Difference[] = [
  {
    script: 'wrong PINs until the token is locked',
    why: 'SoftHSM never locks; cards do (OpenSC, ykcs11): one try left is shown, then PIN_LOCKED, whatever the PIN',
    lines: [
      [FLAGS, 'C_GetTokenInfo: ["LOGIN_REQUIRED","USER_PIN_COUNT_LOW","USER_PIN_FINAL_TRY"]'],
      [FLAGS, 'C_GetTokenInfo: ["LOGIN_REQUIRED","USER_PIN_LOCKED"]'],
      ['C_Login with a wrong PIN: CKR_PIN_INCORRECT 160', 'C_Login with a wrong PIN: CKR_PIN_LOCKED 164'],
      ['C_Login with the right PIN: "ok"', 'C_Login with the right PIN: CKR_PIN_LOCKED 164'],
    ],
  },
  {
    script: 'a logout without a login',
    why: 'SoftHSM lets it pass; PKCS#11 has USER_NOT_LOGGED_IN for it',
    lines: [['C_Logout: "ok"', 'C_Logout: CKR_USER_NOT_LOGGED_IN 257']],
  },
];

/** What the simulated module has not, and no script calls. */
export const LEFT_OUT: readonly (readonly [what: string, why: string])[] = [
  [
    'all mechanisms but RSA_PKCS, RSA_PKCS_PSS, ECDSA and EDDSA',
    'what pksigd makes of lists of others, test/tokens tries',
  ],
  ['certificates', 'the tunnels of a world have their public keys from the key objects'],
  ['making objects and keys', 'enrolment is not simulated'],
  ['the empty slot that SoftHSM has', 'worlds have slots that are empty: tokens are pulled'],
  [
    'fields of C_GetInfo, C_GetSlotInfo and C_GetTokenInfo that nobody reads',
    'they tell of memory, versions and sessions',
  ],
];
