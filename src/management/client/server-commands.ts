import { readKilled } from '../commands/read-reply.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import { encodeInfoMessage, type InfoMessage } from '../notifications/info-message.ts';
import { send, type Sender, whole } from './sender.ts';

export type ServerCommands = typeof serverCommands;

/** The commands of servers (`--mode server`). All throw as {@link ManagementClient.raw} does. */
export const serverCommands = {
  /**
   * Lets a client of a CONNECT or REAUTH in.
   *
   * @param config directives for this client, as a client-connect script would write them
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT for a line `END`, control characters, more than 768 bytes in a line
   */
  async clientAuth(
    this: Sender,
    cid: number,
    kid: number,
    config: readonly string[],
    options?: CommandOptions,
  ): Promise<void> {
    await send(this, ['client-auth', cid, kid], options, config);
  },

  /** Lets a client in, with no directives of its own. */
  async clientAuthNt(this: Sender, cid: number, kid: number, options?: CommandOptions): Promise<void> {
    await send(this, ['client-auth-nt', cid, kid], options);
  },

  /**
   * Refuses a client.
   *
   * @param reason for the daemon's log
   * @param clientReason for the client, for example {@link encodeDynamicChallenge}'s text
   */
  async clientDeny(
    this: Sender,
    cid: number,
    kid: number,
    reason: string,
    clientReason?: string,
    options?: CommandOptions,
  ): Promise<void> {
    await send(this, ['client-deny', cid, kid, reason, ...given(clientReason)], options);
  },

  /** Ends a client's session; `message` is what it is told, `RESTART` by default. */
  async clientKill(this: Sender, cid: number, message?: string, options?: CommandOptions): Promise<void> {
    await send(this, ['client-kill', cid, ...given(message)], options);
  },

  /**
   * Tells a client of a CONNECT that more is needed (2.5 on); `clientAuth` or `clientDeny` must follow. 2.5 takes
   * neither key ID nor timeout: they are left out there.
   *
   * @param seconds how long the client shall wait; the daemon limits it to its hand-window
   */
  async clientPendingAuth(
    this: Sender,
    cid: number,
    kid: number,
    extra: InfoMessage | string,
    seconds: number,
    options?: CommandOptions,
  ): Promise<void> {
    const text = typeof extra === 'string' ? extra : encodeInfoMessage(extra);
    const words = this.daemonVersion.management < 5 ? [cid, text] : [cid, kid, text, seconds];
    await send(this, ['client-pending-auth', ...words], options);
  },

  /** Ends the sessions of all clients with a common name. Returns how many there were. */
  async killCommonName(this: Sender, commonName: string, options?: CommandOptions): Promise<number> {
    return readKilled(await send(this, ['kill', commonName], options));
  },

  /**
   * Ends the session of the client at an IPv4 address. Returns how many there were. Up to 2.6 the daemon takes address
   * and port only: the protocol is left out there, whatever the management notes say (man_kill in manage.c).
   */
  async killAddress(
    this: Sender,
    protocol: 'tcp' | 'udp',
    host: string,
    port: number,
    options?: CommandOptions,
  ): Promise<number> {
    const place = `${host}:${whole(port)}`;
    const victim = this.daemonVersion.management < 6 ? place : `${protocol}:${place}`;
    return readKilled(await send(this, ['kill', victim], options));
  },

  /**
   * Changes options of all clients (2.7 on): `route 10.1.0.0 255.255.0.0, -dns`.
   *
   * @returns what the daemon said of each client before it said that the command succeeded
   */
  async pushUpdateBroad(this: Sender, update: string, options?: CommandOptions): Promise<readonly string[]> {
    return (await send(this, ['push-update-broad', update], options)).lines;
  },

  /** Changes options of one client (2.7 on), as {@link pushUpdateBroad} does of all. */
  async pushUpdateCid(this: Sender, cid: number, update: string, options?: CommandOptions): Promise<readonly string[]> {
    return (await send(this, ['push-update-cid', cid, update], options)).lines;
  },
};

/** A word that may be left out. */
function given(word: string | undefined): readonly string[] {
  return word === undefined ? [] : [word];
}
