// Says when an answer couldn't be sent: what was typed stays in the page, and is sent again by the same button.
(function () {
  "use strict";
  function lost(show) {
    var notice = document.getElementById("lost");
    if (notice) { notice.hidden = !show; }
  }
  document.addEventListener("htmx:sendError", function () { lost(true); });
  document.addEventListener("htmx:timeout", function () { lost(true); });
  document.addEventListener("htmx:afterRequest", function (event) { if (event.detail.successful) { lost(false); } });
}());
