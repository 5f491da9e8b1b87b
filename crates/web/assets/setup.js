// The one-time code comes after the # of the link, which browsers never send. It goes into the form and out of the address.
const field = document.querySelector("input[name=token]");
const code = location.hash.slice(1);
if (field && code) {
  field.value = decodeURIComponent(code);
  history.replaceState(null, "", location.pathname);
  document.querySelector("input[name=password]")?.focus();
}
