import type { Explain, Reason } from '../errors.ts';

/** What to do about an error whose help lies in a setting of pksigd: the option that makes it. */
const HINTS: Readonly<Record<Reason, string | ((user: number | string) => string)>> = {
  'no-passphrase': 'give --pin-source',
  'certificate-as-key': 'give --key its key, and this file to --cert',
  'public-key-as-key': 'give --key the private key',
  'readable-key': 'chmod 600 it, or give --allow-readable-key',
  'no-public-key': 'give --cert',
  'no-module': 'add ?module-path=/path/to/module.so, or give --module',
  'two-pin-sources':
    'a token is logged in to once for all its keys: give each the same pin-source, or none and --pin-source',
  'final-pin-try': 'log in by hand with the right PIN, or give --use-final-pin-try',
  'state-directory': 'give a folder of your own with --state-directory',
  'too-many-daemons': 'give --max-daemons for more',
  'foreign-daemon': (user) => `if OpenVPN runs as that user, give --management-user ${user}`,
  'unknown-daemon': (user) =>
    `--management-user insists on user ${user}: use a unix socket or a loopback address, or leave that out`,
  'open-listener': 'give --management-user, or use a unix socket',
  'no-certificate': 'give --cert, or have the .ovpn name it by cert',
  'key-changed': 'restart pksigd, if it does not take it over',
  'refused-login': 'change it at its source, or have a configuration file read anew (SIGHUP)',
  'no-challenge-command': 'give --challenge-command',
  'scheme-not-allowed': 'name it in --allow-scheme, if it is wanted',
  'hash-not-allowed': 'name it in --allow-hash, if it is wanted',
  'old-hash-not-allowed': 'TLS 1.0 and 1.1, and few servers of TLS 1.2, ask for it: name it in --allow-hash',
  'foreign-message': 'if something else than a TLS client shall sign with this key, give --context off',
  'hash-without-context':
    'have OpenVPN send messages (management-external-key … digest; 2.6 or newer), or give --context when-visible',
  'server-not-seen':
    "--require-server-ca and --require-server-name take 'tls-version-max 1.2' and 'management-external-key … digest'",
  'no-key': "give --key; 'pksigd keys --module FILE' lists them",
  'pin-at-terminal': 'its PIN, if the token wants one, is asked for at the terminal: for a service give --pin-source',
  'no-login': 'give --login',
  'key-exists': 'name the new one otherwise; or give --renew to have a request for the one that is there',
  'no-subject':
    'give --subject, or --template with a certificate or request that has one; --renew takes --cert FILE, too',
  'no-authorities': 'give --ca FILE',
  'certificate-not-kept': 'give --cert FILE to keep it in a file',
  'no-login-nor-certificate': 'give --login, or --cert',
};

/** An error's hint in the words of the command line; undefined where its own is right. */
export const commandLineHint: Explain = ({ reason, user }) => reason && hintFor(reason, user ?? 0);

/** The hint for a reason. @param user whom it is about, where it is about one: an ID, or a word in its place */
export function hintFor(reason: Reason, user: number | string): string {
  const hint = HINTS[reason];
  return typeof hint === 'function' ? hint(user) : hint;
}

/** The same in the words of a configuration file, whose keys are called as the options. */
export const configurationHint: Explain = (error) =>
  commandLineHint(error)?.replaceAll(/--(?!login\b)([a-z-]+)/g, "'$1'");
