"""The looks of the HTML pages: light and dark, wide and narrow, screen and paper."""

STYLE = """
.workbench {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1d2125; --faint: #5c6670; --line: #d9dde1; --raised: #f3f5f6;
  --link: #0b57a8; --mark: #fff0b8; --good: #1a7f37; --bad: #c0262d; --number: #7a3e00;
  background: var(--paper); color: var(--ink); text-align: left;
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  padding: 1rem clamp(0.75rem, 3vw, 2.5rem) 5rem; box-sizing: border-box;
  overflow-wrap: break-word;
  @media (prefers-color-scheme: dark) {
    --paper: #16191c; --ink: #e4e7ea; --faint: #9aa4ae; --line: #363c42; --raised: #1f2428;
    --link: #82b6f5; --mark: #4a3f12; --good: #57c472; --bad: #ff8080; --number: #f0b070;
  }
  & *, & *::before, & *::after { box-sizing: border-box; }
  & a { color: var(--link); text-underline-offset: 0.15em; }
  & :is(a, summary, .scroll, math [tabindex]):focus-visible {
    outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px;
  }
  & :is(h1, h2, h3) { line-height: 1.25; margin: 2rem 0 0.6rem; scroll-margin-top: 1rem; }
  & h1 { font-size: 1.5rem; margin-top: 0.5rem; }
  & h2 { font-size: 1.25rem; border-bottom: 1px solid var(--line); padding-bottom: 0.25rem; }
  & h3 { font-size: 1.05rem; }
  & p { margin: 0.5rem 0; max-width: 46rem; }
  & :is(ul, ol, dl, dd) { list-style: none; margin: 0; padding: 0; }
  & main { max-width: 72rem; margin-inline: auto; }

  & nav { max-width: 72rem; margin: 0 auto 1rem; font-size: 0.925rem; }
  & nav ul { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; }
  & nav li.title { flex-basis: 100%; font-weight: 600; margin-top: 0.4rem; }
  @media (min-width: 94rem) {
    display: grid; grid-template-columns: 15rem minmax(0, 72rem); column-gap: 2.5rem;
    justify-content: center;
    & nav { position: sticky; top: 1rem; align-self: start; margin: 1rem 0 0; }
    & nav ul { flex-direction: column; }
    & main { margin: 0; width: 100%; }
  }

  & math {
    font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "Libertinus Math",
      "Noto Sans Math", math;
    font-size: 1.12em; line-height: normal;
  }
  & mtable.cases mtd { text-align: left; }
  & math [tabindex] { cursor: help; }
  & .scroll { overflow-x: auto; overflow-y: hidden; min-width: 0; padding-block: 0.2rem; }
  & .value, & .value + .place { color: var(--number); font-size: 0.925em; }
  & .value { display: block; margin-top: 0.3rem; }
  & .place { white-space: nowrap; }
  & :is(.label, .shape, .rule, .why, .refs, .place) { font-size: 0.9rem; }
  & :is(.label, .shape, .why) { color: var(--faint); }
  & .label { font-variant-numeric: tabular-nums; }
  & .passed { color: var(--good); font-weight: 700; }
  & .failed { color: var(--bad); font-weight: 700; }
  & .unchecked { color: var(--faint); }

  & .step, & .result { border-bottom: 1px solid var(--line); scroll-margin: 1rem 0 5rem; }
  & .step > summary, & .result {
    display: grid; align-items: center; column-gap: 0.9rem; padding: 0.25rem 0.4rem;
    grid-template-columns: 3.4rem minmax(0, 1fr) 5rem minmax(0, 16rem) 1.3rem;
    grid-template-areas: "label formula shape remark verdict";
  }
  & .step > summary { cursor: pointer; list-style: none; }
  & .step > summary::-webkit-details-marker { display: none; }
  & .step > summary > .label::before { content: "▸ "; }
  & .step[open] > summary > .label::before { content: "▾ "; }
  & .step > summary:hover { background: var(--raised); }
  & .step:target, & .result:target, & tr:target { background: var(--mark); }
  & .row > .label { grid-area: label; }
  & .row > .scroll { grid-area: formula; }
  & .row > .shape { grid-area: shape; }
  & .row > .remark { grid-area: remark; line-height: 1.35; }
  & .row > .verdict { grid-area: verdict; text-align: right; }
  & .work {
    background: var(--raised); padding: 0.4rem 0.8rem 0.6rem; margin: 0 0.4rem 0.6rem 1.2rem;
    border-left: 3px solid var(--line);
  }
  & .stages {
    display: grid; align-items: center; column-gap: 0.5rem; row-gap: 0.35rem;
    grid-template-columns: max-content fit-content(40%) minmax(0, 1fr) minmax(0, 20rem);
  }
  & .stages > li { display: contents; }
  & .stages .left { text-align: right; }
  & .stages .reason { line-height: 1.35; }
  & .checked { font-size: 0.875rem; color: var(--faint); }

  & table { border-collapse: collapse; }
  & :is(th, td) {
    text-align: left; padding: 0.3rem 1rem 0.3rem 0; vertical-align: middle;
    border-bottom: 1px solid var(--line);
  }
  & thead th { font-size: 0.9rem; color: var(--faint); font-weight: 600; }
  & tbody th { font-weight: 400; }
  & td { font-size: 0.95rem; }
  & .given { display: flex; flex-wrap: wrap; gap: 0.6rem 1.8rem; align-items: center; }
  & .given > li { max-width: 100%; }

  & .notes > p {
    display: none; position: fixed; inset: auto 0 0 0; z-index: 10; pointer-events: none;
    margin: 0; max-width: none; padding: 0.6rem clamp(0.75rem, 3vw, 2.5rem);
    background: var(--raised); border-top: 2px solid var(--link); overflow: hidden;
    box-shadow: 0 -0.4rem 1rem rgb(0 0 0 / 15%);
  }
  & .notes .part { margin-right: 1.4rem; display: inline-block; max-width: 100%; }

  @media (max-width: 46rem), print {
    & .step > summary, & .result {
      grid-template-columns: max-content minmax(0, 1fr) max-content;
      grid-template-areas: "label shape verdict" "formula formula formula" "remark remark remark";
      row-gap: 0.1rem; padding-block: 0.45rem;
    }
    & .work { margin-left: 0.4rem; padding-inline: 0.6rem; }
    & .stages { display: block; }
    & .stages > li { display: block; margin-bottom: 0.7rem; }
    & .stages .left { text-align: left; }
    & .stages .right { padding-left: 1rem; }
  }
  @media print {
    --paper: #fff; --ink: #000; --faint: #444; --raised: #fff; --mark: #fff; --number: #333;
    padding: 0; font-size: 10pt;
    & :is(nav, .notes) { display: none; }
    & details::details-content { content-visibility: visible; block-size: auto; }
    & .step > summary > .label::before { content: "" !important; }
    & :is(.step, .result, tr) { break-inside: avoid; }
    & .scroll { overflow: visible; }
    & a { color: inherit; text-decoration: none; }
  }
}
"""
"""Everything stands within `.workbench`, so that a page or a notebook around it keeps its looks."""
