import { basename, extname } from 'node:path';
import type { Migration } from '../check/migration.ts';
import { builtInTokens, type BuiltInModule, type BuiltInTokens } from '../config/built-in-tokens.ts';
import type { OpenVpnConfig, PlacedLine } from '../config/openvpn-config.ts';
import { AgentError } from '../errors.ts';
import {
  configuredModules,
  findLibrary,
  findTokens,
  formatPkcs11Uri,
  namesTokenObject,
  parseTokenObject,
  type ModuleName,
  type Tokens,
} from '../pkcs11/index.ts';

/** A module, and what the .ovpn says of it, if it names it. */
type Candidate = ModuleName & { readonly builtIn?: BuiltInModule };

/** The key that an .ovpn names by pkcs11-helper's id. */
export interface NamedKey {
  readonly copies: readonly string[];
  readonly id?: Migration['id'];
  readonly module?: Migration['module'];
}

/** An .ovpn that is to be changed. */
interface OldConfig extends BuiltInTokens {
  readonly path: string;
  /** All of it. */
  readonly lines: readonly PlacedLine[];
}

/** An .ovpn that has OpenVPN itself use a token; undefined for others, and for what has `management-external-key`: it was changed. */
export function toMigrate(config: OpenVpnConfig, lines: readonly PlacedLine[]): OldConfig | undefined {
  const builtIn = config.directives.has('management-external-key') ? undefined : builtInTokens(config, lines);
  return builtIn && { ...builtIn, path: config.path, lines };
}

async function candidates({ modules }: BuiltInTokens, given: string | undefined): Promise<Candidate[]> {
  if (given !== undefined) return [{ path: given }];
  // what OpenVPN goes by then is p11-kit's
  if (modules.length === 0) return await configuredModules();
  return await Promise.all(modules.map(async (builtIn) => ({ path: await findLibrary(builtIn.file), builtIn })));
}

/**
 * The key that an .ovpn names, as a URI with the module that has its token.
 * @param given the module that takes the place of those of the .ovpn
 * @throws AgentError ERR_USAGE where no id is named, ERR_CONFIG for what is none, ERR_MODULE_NOT_FOUND
 */
export async function keyOf(builtIn: BuiltInTokens, given: string | undefined, tokens: Tokens): Promise<NamedKey> {
  const { id, asksForId } = builtIn;
  if (id === undefined) {
    const why = asksForId ? 'pkcs11-id-management: OpenVPN asks for the id' : 'pkcs11-providers, and no pkcs11-id';
    throw new AgentError('ERR_USAGE', `the .ovpn does not say which key it is (${why})`, { reason: 'no-key' });
  }
  if (!namesTokenObject(id)) {
    const hint = 'openvpn --show-pkcs11-ids MODULE prints it';
    throw new AgentError('ERR_CONFIG', `pkcs11-id '${id}' is not manufacturer/model/serial/label/ID`, { hint });
  }
  const uri = parseTokenObject(id);
  const modules = await candidates(builtIn, given);
  const found = modules.length > 1 ? await findTokens(modules, tokens, uri) : [];
  const path = (found.find((one) => one.tokens.length > 0)?.module ?? modules[0])?.path;
  const module = modules.find((each) => each.path === path);
  const place = module?.name === undefined ? path !== undefined && { modulePath: path } : { moduleName: module.name };
  const text = formatPkcs11Uri({ ...uri, ...place });
  return {
    copies: [text],
    id: { text: id, uri: text },
    module: module?.builtIn && { ...module.builtIn, file: module.path },
  };
}

/** Where OpenVPN's management interface is to be, for an .ovpn that has none. */
export function socketFor(path: string): string[] {
  return [`/run/openvpn/${basename(path, extname(path))}.sock`, 'unix'];
}

/** What is to be changed. @param repeated options of `run` that were given, with their words */
export function migrationOf(
  { pinCache, asksForId, path, lines }: OldConfig,
  { copies, id, module }: NamedKey,
  repeated: readonly string[],
): Migration {
  const keys = copies.flatMap((copy) => ['--key', copy]);
  return {
    ...{ id, module, pinCache, asksForId, lines },
    command: ['pksigd', 'run', '--openvpn-config', path, ...keys, ...repeated],
    namesPinSource: repeated.includes('--pin-source') || copies.some((copy) => /[?&]pin-source=/.test(copy)),
  };
}
