import { type Command, Option } from 'commander';
import { KEY_TYPE_NAMES, USUAL_KEY_TYPE } from '../enrol/key-types.ts';
import type { EnrolFlags } from './enrol-command.ts';

/** What each of the three things that `enrol` does leaves to the others. */
const OF_REQUESTS = ['subject', 'san', 'template', 'keyType', 'newKey', 'out'];

/** `pksigd enrol`, with its options beside those about keys and tokens. */
export function addEnrolCommand(program: Command): Command {
  return program
    .command('enrol')
    .description('make a key on a token or in a file and a request for its certificate, and take the certificate in')
    .addOption(
      new Option(
        '--key <key>',
        'where the key is to be made, or is: a file or a pkcs11: URI with object=LABEL',
      ).makeOptionMandatory(),
    )
    .addOption(
      new Option('--key-type <type>', `what kind of key to make (default: ${USUAL_KEY_TYPE})`).choices(KEY_TYPE_NAMES),
    )
    .option(
      '--subject <name>',
      'whom the certificate is for: CN=alice,O=Example, /O=Example/CN=alice, or a common name',
    )
    .addOption(
      new Option(
        '--san <name>',
        'an alternative name: DNS:, email:, IP:, URI: or UPN: before it, or by its looks; may be given several times',
      ).argParser((name, names: readonly string[] | undefined) => [...(names ?? []), name]),
    )
    .option('--template <file>', 'a certificate or request to take subject and alternative names from')
    .option('--out <file>', 'where the request goes (default: standard output)')
    .addOption(
      new Option('--renew', 'make no key: a request for the one that is there, with the names of its certificate'),
    )
    .option('--new-key <key>', 'with --renew: make a new key there, beside the old one')
    .addOption(
      new Option(
        '--import <file>',
        "take in the key's certificate, check it, and print the lines for the .ovpn",
      ).conflicts(['renew', ...OF_REQUESTS]),
    )
    .option('--cert <cert>', 'with --import: the file to keep it in, not on the token; with --renew: the certificate')
    .option('--ca <file>', 'with --import: the authorities that its chain must end at')
    .option('--json', 'print one JSON document, or with --import an object a verdict')
    .action(async (flags: EnrolFlags) => {
      const { enrolCommand } = await import('./enrol-command.ts');
      await enrolCommand(flags);
    });
}
