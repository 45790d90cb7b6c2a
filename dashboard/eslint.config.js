import js from "@eslint/js";
import globals from "globals";
import { configs } from "typescript-eslint";

export default [
  { ignores: ["node_modules/", "src/openapi.d.ts"] },
  js.configs.recommended,
  ...configs.strictTypeChecked.map((config) => ({ ...config, files: ["**/*.ts", "**/*.tsx"] })),
  {
    files: ["src/**", "tests/**"],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // What comes from outside is shown as text; nothing in this page writes markup.
      "no-restricted-properties": [
        "error",
        { property: "innerHTML" },
        { property: "outerHTML" },
        { property: "insertAdjacentHTML" },
      ],
      "no-restricted-syntax": ["error", { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Text is inserted as text." }],
    },
  },
  { files: ["*.ts", "*.js"], languageOptions: { globals: globals.node }, ...configs.disableTypeChecked },
];
