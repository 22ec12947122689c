/** Takes out of what a process says the secrets that it was told, in the forms in which it has seen them. */
export class Redactor {
  readonly #forms = new Set<string>();

  /** @param secret base64 */
  conceal(secret: string): void {
    for (const form of [Buffer.from(secret, 'base64').toString(), secret]) if (form !== '') this.#forms.add(form);
  }

  readonly redact = (text: string): string => {
    let rest = text;
    for (const form of this.#forms) rest = rest.replaceAll(form, '<redacted>');
    return rest;
  };
}
