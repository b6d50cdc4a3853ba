// Everything is done by listeners on the document, so that a part of a page may be replaced at any time.
import "./controls.js";
import "./dialogs.js";
import "./parts.js";
import "./secrets.js";
import "./stage.js";
import "./recipients.js";
import "./activity.js";
import "./upload.js";
import "./devices.js";
import "./test_boot.js";
import "./resync.js";
import "./menu.js";
import "./previews.js";
