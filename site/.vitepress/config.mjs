import { defineConfig } from 'vitepress';

const page = (text, link) => ({ text, link: `/docs/${link}` });
const tutorial = (text, link) => ({ text, link: `/docs/tutorials/${link}` });

export default defineConfig({
  title: 'pksigd',
  description: "A signing agent for OpenVPN's --management-external-key",
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: '.cache',
  rewrites: { 'README.md': 'index.md', ':folder(.*)/README.md': ':folder/index.md' },
  // files that pages link to, and that are no pages: scripts/site puts them into public/
  ignoreDeadLinks: [/\/(examples|systemd|monitoring)(\/|$)/, /\.(json|svg|1|5)$/, /\/(src|test|scripts|softhsm)\//],
  markdown: { languageAlias: { conf: 'ini', console: 'shellsession' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Tutorials', link: '/docs/tutorials/' },
      { text: 'Troubleshooting', link: '/docs/TROUBLESHOOTING' },
      { text: 'API', link: '/api/' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'What it is', link: '/' },
          page('Install', 'INSTALL'),
          page('Compared', 'COMPARISON'),
          page('Move from PKCS#11', 'MIGRATION'),
          page('Troubleshooting', 'TROUBLESHOOTING'),
        ],
      },
      {
        text: 'Tutorials',
        items: [
          tutorial('YubiKey, PIV', 'yubikey'),
          tutorial('TPM 2.0', 'tpm'),
          tutorial('CI', 'ci'),
          tutorial('Network HSMs', 'network-hsm'),
          tutorial('Cloud keys', 'cloud'),
          tutorial('From pkcs11-providers', 'migrate'),
          tutorial('Many tunnels', 'many-tunnels'),
          tutorial('GUIs, monitors', 'clients'),
          tutorial('Your own programs', 'library'),
        ],
      },
      {
        text: 'Keys',
        items: [
          page('Tokens', 'TOKENS'),
          page('Programs (exec:)', 'EXEC'),
          page('The PIN', 'PIN'),
          page('Make a key', 'ENROL'),
          page('Certificates', 'CERTIFICATES'),
          page('Signing', 'SIGNING'),
          page('Policy', 'POLICY'),
        ],
      },
      {
        text: 'Run it',
        items: [
          page('Configuration file', 'CONFIGURATION'),
          page('systemd', 'SYSTEMD'),
          page('Status', 'STATUS'),
          page('Metrics', 'METRICS'),
          page('Audit log', 'AUDIT'),
          page('Relay', 'RELAY'),
          page('Questions', 'QUESTIONS'),
          page('Performance', 'PERFORMANCE'),
          page('When things fail', 'RELIABILITY'),
          page('Security', 'SECURITY'),
        ],
      },
      {
        text: 'Inside',
        items: [
          { text: 'API', link: '/api/' },
          page('Management interface', 'PROTOCOL'),
          page('Architecture', 'ARCHITECTURE'),
          page('Mutants', 'MUTATION'),
          page('Dependencies', 'DEPENDENCIES'),
          { text: 'Contributing', link: '/CONTRIBUTING' },
          { text: 'Changelog', link: '/CHANGELOG' },
        ],
      },
    ],
  },
});
