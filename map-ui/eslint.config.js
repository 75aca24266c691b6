import vue from 'eslint-plugin-vue'
import globals from 'globals'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['dist', 'node_modules', 'src/api/schema.d.ts'] },
  ...ts.configs.recommended,
  ...vue.configs['flat/recommended'],
  {
    files: ['**/*.{ts,vue}'],
    languageOptions: {
      globals: { ...globals.browser },
      parserOptions: { parser: ts.parser },
    },
    rules: {
      'no-console': 'error',
      'vue/html-self-closing': ['error', { html: { void: 'always', normal: 'always' } }],
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-closing-bracket-newline': 'off',
      'vue/html-indent': 'off',
      'vue/first-attribute-linebreak': 'off',
      'vue/require-default-prop': 'off',
      'vue/multi-word-component-names': ['error', { ignores: ['Shell', 'Swatch'] }],
      'vue/component-api-style': ['error', ['script-setup']],
      'vue/block-lang': ['error', { script: { lang: 'ts' } }],
      'vue/no-bare-strings-in-template': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  { files: ['e2e/**', 'build/**', '*.ts', '*.js'], languageOptions: { globals: globals.node }, rules: { 'no-console': 'off' } },
)
