// Pages that hold a session of Panel's: the button for light or dark; all else is drawn by Panel.

import { theme } from "../shared/theme.js"

theme()
